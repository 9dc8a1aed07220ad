# Builds and runs the project beside this file: WAY is install (find_package from a prefix) or
# subdirectory (add_subdirectory of the source tree).

# run(<what> <command>...): fails the test, with the command's output, unless it succeeds.
function(run what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${what} failed (${result}):\n${output}")
  endif()
  message(STATUS "${what}: ok")
  set(output "${output}" PARENT_SCOPE)
endfunction()

# refuse(<what> <expected> <command>...): the command must fail and say what is expected.
function(refuse what expected)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  string(REGEX REPLACE "[ \n]+" " " flat "${output}")
  string(FIND "${flat}" "${expected}" found)
  if(result EQUAL 0 OR found EQUAL -1)
    message(FATAL_ERROR "${what}: expected a failure that says \"${expected}\", got "
                        "(${result}):\n${output}")
  endif()
  message(STATUS "${what}: refused")
endfunction()

set(project "${CMAKE_CURRENT_LIST_DIR}/project")
file(REMOVE_RECURSE "${WORK_DIR}")
# Optimising the library again would prove nothing more.
set(configure "${CMAKE_COMMAND}" -S "${project}" -G "${GENERATOR}"
    "-DCMAKE_CXX_COMPILER=${CXX_COMPILER}" "-DCMAKE_CXX_COMPILER_LAUNCHER=${CXX_COMPILER_LAUNCHER}"
    -DCMAKE_BUILD_TYPE=None)

if(WAY STREQUAL "install")
  run("install" "${CMAKE_COMMAND}" --install "${ROOKERY_BINARY_DIR}" --prefix "${WORK_DIR}/first")
  # An installation may be moved: nothing in it names where it was made.
  file(RENAME "${WORK_DIR}/first" "${WORK_DIR}/prefix")
  file(GLOB_RECURSE cmake_files "${WORK_DIR}/prefix/*.cmake")
  foreach(cmake_file IN LISTS cmake_files)
    file(READ "${cmake_file}" text)
    foreach(path "${ROOKERY_SOURCE_DIR}" "${ROOKERY_BINARY_DIR}")
      string(FIND "${text}" "${path}" found)
      if(NOT found EQUAL -1)
        message(FATAL_ERROR "${cmake_file} names ${path}")
      endif()
    endforeach()
  endforeach()
  list(APPEND configure "-DCMAKE_PREFIX_PATH=${WORK_DIR}/prefix")
  refuse("a component that there is not" "has no component \"smoke-signals\""
         ${configure} -B "${WORK_DIR}/refused" -DCOMPONENT=smoke-signals)
  refuse("a later minor version" "version: ${ROOKERY_VERSION}"
         ${configure} -B "${WORK_DIR}/refused" -DVERSION=0.99)
else()
  list(APPEND configure "-DROOKERY_SOURCE_DIR=${ROOKERY_SOURCE_DIR}")
endif()

run("configure" ${configure} -B "${WORK_DIR}/build")
run("build" "${CMAKE_COMMAND}" --build "${WORK_DIR}/build" --parallel 2)
# Its log goes to standard error.
execute_process(COMMAND "${WORK_DIR}/build/greeter" RESULT_VARIABLE result OUTPUT_VARIABLE output
                ERROR_VARIABLE log)
if(NOT result EQUAL 0 OR NOT output STREQUAL "Hello, Ada, over inproc\nHello, Ada, over grpc\n")
  message(FATAL_ERROR "the program ended with ${result} and printed:\n${output}\n${log}")
endif()
message(STATUS "run: ok")

if(WAY STREQUAL "install")
  run("prove a transport" "${WORK_DIR}/build/proof" --case=unary* --case=deadline-*)
endif()
