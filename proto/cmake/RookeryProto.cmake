# rookery_add_proto_library(<target>
#   PROTOS <file>...
#   [PROTO_ROOT <dir>]
#   [IMPORT_DIRS <dir>...]
#   [LINK_LIBRARIES <target>...]
#   [STATIC | SHARED | OBJECT]
#   [DESCRIPTORS]
#   [NO_SERVICES])
#
# Makes a library of proto files: their messages (foo.pb.h) and their services (foo.rookery.h).
#
#   rookery_add_proto_library(orders_proto PROTOS shop/v1/orders.proto
#                             LINK_LIBRARIES payments_proto)
#   target_link_libraries(orders PRIVATE orders_proto rookery::grpc)
#
# PROTOS          The files; relative ones to the current source directory.
# PROTO_ROOT      The directory that their import paths start from: with PROTO_ROOT api, the file
#                 api/shop/v1/orders.proto is imported, and its code included, as shop/v1/orders.
#                 Default: the IMPORT_DIRS entry that holds the file, or else the current source
#                 directory.
# IMPORT_DIRS     More directories to find imports in. Not needed for rookery/*.proto,
#                 google/{api,rpc,protobuf}/*.proto, nor for those of LINK_LIBRARIES.
# LINK_LIBRARIES  Libraries that the generated code needs, above all other proto libraries, whose
#                 files may then be imported. Linked publicly.
# STATIC ...      What kind of library. Default: STATIC.
# DESCRIPTORS     Also writes a FileDescriptorSet with all imports and comments, for tools; its path
#                 is the target's property ROOKERY_DESCRIPTOR_SET.
# NO_SERVICES     Messages alone: no .rookery.h, and no dependency on rookery::core.
#
# Generated code is built again when its proto file, a file that this one imports, protoc or
# protoc-gen-rookery changes, and at no other time. To use other programs than the ones found, for a
# cross build, set ROOKERY_PROTOC and ROOKERY_PROTOC_GEN_ROOKERY to their paths.
include_guard(GLOBAL)

cmake_policy(PUSH)
cmake_policy(VERSION 3.25)

# From an install prefix, the config file says where the protos are; in the source tree,
# proto/CMakeLists.txt sets the property itself.
if(rookery_PROTO_DIR AND TARGET rookery::protos)
  set_property(TARGET rookery::protos PROPERTY ROOKERY_PROTO_IMPORT_DIRS "${rookery_PROTO_DIR}")
endif()

# Appends to <out> the directories that the files of <library> are imported from.
function(_rookery_proto_import_dirs out library)
  set(dirs ${${out}})
  if(TARGET ${library})
    get_target_property(more ${library} ROOKERY_PROTO_IMPORT_DIRS)
    if(more)
      list(APPEND dirs ${more})
    endif()
  endif()
  set(${out} ${dirs} PARENT_SCOPE)
endfunction()

# Sets <out> to the path of <proto> from the first of the given directories that holds it, and
# <out>_ROOT to that directory; empty if none does.
function(_rookery_proto_relative out proto)
  set(${out} "" PARENT_SCOPE)
  set(${out}_ROOT "" PARENT_SCOPE)
  foreach(dir IN LISTS ARGN)
    cmake_path(IS_PREFIX dir "${proto}" NORMALIZE inside)
    if(inside)
      cmake_path(RELATIVE_PATH proto BASE_DIRECTORY "${dir}" OUTPUT_VARIABLE relative)
      set(${out} "${relative}" PARENT_SCOPE)
      set(${out}_ROOT "${dir}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

function(rookery_add_proto_library target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "STATIC;SHARED;OBJECT;DESCRIPTORS;NO_SERVICES" "PROTO_ROOT"
                        "PROTOS;IMPORT_DIRS;LINK_LIBRARIES")
  set(where "rookery_add_proto_library(${target})")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "${where}: what is \"${arg_UNPARSED_ARGUMENTS}\"? Files go after PROTOS.")
  endif()
  if(arg_KEYWORDS_MISSING_VALUES)
    message(FATAL_ERROR "${where}: nothing follows ${arg_KEYWORDS_MISSING_VALUES}.")
  endif()
  if(NOT arg_PROTOS)
    message(FATAL_ERROR "${where}: PROTOS is missing: name at least one file.")
  endif()
  set(kind STATIC)
  foreach(choice SHARED OBJECT)
    if(arg_${choice})
      set(kind ${choice})
    endif()
  endforeach()

  set(roots "")
  set(candidates ${arg_IMPORT_DIRS} ${CMAKE_CURRENT_SOURCE_DIR})
  if(arg_PROTO_ROOT)
    set(candidates ${arg_PROTO_ROOT})
  endif()
  foreach(dir IN LISTS candidates)
    cmake_path(ABSOLUTE_PATH dir BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" NORMALIZE)
    string(REGEX REPLACE "(.)/$" "\\1" dir "${dir}")
    list(APPEND roots "${dir}")
  endforeach()

  set(imports "")
  foreach(dir IN LISTS arg_IMPORT_DIRS)
    cmake_path(ABSOLUTE_PATH dir BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" NORMALIZE)
    list(APPEND imports "${dir}")
  endforeach()
  foreach(library IN LISTS arg_LINK_LIBRARIES ITEMS rookery::protos)
    _rookery_proto_import_dirs(imports ${library})
  endforeach()

  if(ROOKERY_PROTOC)
    set(protoc "${ROOKERY_PROTOC}")
  else()
    if(NOT TARGET protobuf::protoc)
      message(FATAL_ERROR "${where}: protoc is not there: install protobuf-compiler, or set "
                          "ROOKERY_PROTOC to its path.")
    endif()
    set(protoc "$<TARGET_FILE:protobuf::protoc>")
  endif()
  if(ROOKERY_PROTOC_GEN_ROOKERY)
    set(plugin "${ROOKERY_PROTOC_GEN_ROOKERY}")
  else()
    set(plugin "$<TARGET_FILE:rookery::protoc-gen-rookery>")
  endif()

  set(generated "${CMAKE_CURRENT_BINARY_DIR}/${target}.generated")
  set(plugin_arguments "")
  set(tools "${protoc}")
  if(NOT arg_NO_SERVICES)
    set(plugin_arguments "--plugin=protoc-gen-rookery=${plugin}" "--rookery_out=${generated}")
    list(APPEND tools "${plugin}")
  endif()

  set(sources "")
  set(files "")
  set(used_roots "")
  foreach(proto IN LISTS arg_PROTOS)
    set(named "${proto}")
    cmake_path(ABSOLUTE_PATH proto BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" NORMALIZE)
    get_source_file_property(made "${proto}" GENERATED)
    if(NOT made AND NOT EXISTS "${proto}")
      message(FATAL_ERROR "${where}: there is no file ${named} (${proto}).")
    endif()
    _rookery_proto_relative(relative "${proto}" ${roots})
    if(NOT relative)
      message(FATAL_ERROR "${where}: ${named} is not below ${roots}: give the directory that its "
                          "import path starts from as PROTO_ROOT.")
    endif()
    list(APPEND files "${proto}")
    list(APPEND used_roots "${relative_ROOT}")

    string(REGEX REPLACE "\\.proto(devel)?$" "" base "${relative}")
    set(out "${generated}/${base}")
    cmake_path(GET out PARENT_PATH directory)
    file(MAKE_DIRECTORY "${directory}")
    # The first must be the one that protoc names first in the depfile (they are sorted): Ninja
    # takes the depfile for another rule's otherwise, and runs this one every time.
    set(outputs "${out}.pb.cc" "${out}.pb.h")
    if(NOT arg_NO_SERVICES)
      list(APPEND outputs "${out}.rookery.cc" "${out}.rookery.h")
    endif()
    set(search "${relative_ROOT}" ${imports})
    list(REMOVE_DUPLICATES search)
    list(TRANSFORM search PREPEND "--proto_path=")
    add_custom_command(
      OUTPUT ${outputs}
      COMMAND "${protoc}" ${search} "--dependency_out=${out}.d" "--cpp_out=${generated}"
              ${plugin_arguments} "${proto}"
      DEPENDS "${proto}" ${tools}
      DEPFILE "${out}.d"
      COMMENT "Generating C++ of ${relative}"
      VERBATIM)
    list(APPEND sources ${outputs})
    # protobuf's own code is not ours to tidy up.
    set_source_files_properties("${out}.pb.cc" PROPERTIES COMPILE_OPTIONS "-w")
  endforeach()
  list(REMOVE_DUPLICATES used_roots)

  add_library(${target} ${kind} ${sources})
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_include_directories(${target} SYSTEM PUBLIC "$<BUILD_INTERFACE:${generated}>")
  target_link_libraries(${target} PUBLIC ${arg_LINK_LIBRARIES} rookery::protos
                                         protobuf::libprotobuf)
  if(NOT arg_NO_SERVICES)
    target_link_libraries(${target} PUBLIC rookery::core)
  endif()

  set(reachable ${used_roots} ${imports})
  list(REMOVE_DUPLICATES reachable)
  set_target_properties(${target} PROPERTIES ROOKERY_PROTO_IMPORT_DIRS "${reachable}")

  if(arg_DESCRIPTORS)
    # protoc writes no depfile for several files at once; but what makes this file old makes the
    # generated sources old too.
    set(search ${reachable})
    list(TRANSFORM search PREPEND "--proto_path=")
    set(descriptors "${generated}/${target}.binpb")
    add_custom_command(
      OUTPUT "${descriptors}"
      COMMAND "${protoc}" ${search} --include_imports --include_source_info
              "--descriptor_set_out=${descriptors}" ${files}
      DEPENDS ${files} ${sources}
      COMMENT "Describing ${target}"
      VERBATIM)
    target_sources(${target} PRIVATE "${descriptors}")
    set_target_properties(${target} PROPERTIES ROOKERY_DESCRIPTOR_SET "${descriptors}")
  endif()
endfunction()

cmake_policy(POP)
