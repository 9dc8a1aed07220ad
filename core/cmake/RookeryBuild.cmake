# How Rookery's own targets are compiled. Nothing in here reaches a user's targets.

# Under add_subdirectory() the parent decides on the build type, the launcher and the sanitizers.
if(PROJECT_IS_TOP_LEVEL)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
  endif()
  find_program(ROOKERY_CCACHE ccache)
  mark_as_advanced(ROOKERY_CCACHE)
  if(ROOKERY_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${ROOKERY_CCACHE}")
  endif()
  if(ROOKERY_SANITIZE STREQUAL "address")
    add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined
                        -fno-omit-frame-pointer)
    add_link_options(-fsanitize=address,undefined)
  elseif(ROOKERY_SANITIZE STREQUAL "thread")
    add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
    add_link_options(-fsanitize=thread)
  elseif(ROOKERY_SANITIZE)
    message(FATAL_ERROR "ROOKERY_SANITIZE is \"${ROOKERY_SANITIZE}\": use address or thread")
  endif()
  # A program pays at start-up for each shared library it names: name only those it calls.
  add_link_options(LINKER:--as-needed)
endif()

# ccache and the like keep objects from one build to the next, which precompiled headers would keep
# them from. Who has none parses the heaviest headers once.
if(CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_DISABLE_PRECOMPILE_HEADERS ON)
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

# Link with $<BUILD_INTERFACE:rookery_warnings>, so that an export does not name it.
add_library(rookery_warnings INTERFACE)
target_compile_options(rookery_warnings INTERFACE -Wall -Wextra -Wshadow)
# libstdc++ 12's own std::stable_sort uses a deprecated function, and clang says so at the call of
# stable_sort; g++ still watches for what we deprecate.
target_compile_options(rookery_warnings INTERFACE
  $<$<CXX_COMPILER_ID:Clang>:-Wno-deprecated-declarations>)
if(ROOKERY_WERROR)
  target_compile_options(rookery_warnings INTERFACE -Werror)
endif()

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
  message(FATAL_ERROR "Rookery needs g++ 12 or clang++ 16 (C++20 coroutines); this is "
                      "g++ ${CMAKE_CXX_COMPILER_VERSION}")
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12.3)
  message(STATUS "g++ ${CMAKE_CXX_COMPILER_VERSION} miscompiles `if (co_await f())` and some "
                 "temporaries beside co_await: see docs/runtime.md, and run ./dev lint")
endif()

# rookery_install_component(<component> <target>...): one export set a component, so that
# find_package(rookery COMPONENTS core) does not ask for gRPC.
function(rookery_install_component component)
  if(NOT ROOKERY_INSTALL)
    return()
  endif()
  install(TARGETS ${ARGN} EXPORT rookery-${component}
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
          LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
          RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
          INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT rookery-${component} NAMESPACE rookery::
          FILE rookery-${component}-targets.cmake
          DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/rookery)
endfunction()
