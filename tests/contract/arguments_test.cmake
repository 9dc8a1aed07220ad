# The program must not pass for having run nothing.
function(expect code)
  execute_process(COMMAND ${PROGRAM} ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE out
                  ERROR_VARIABLE err)
  if(NOT result EQUAL code)
    message(FATAL_ERROR "${ARGN}: exit code ${result}, expected ${code}\n${out}${err}")
  endif()
endfunction()

expect(0 --list)
expect(0 --help)
expect(2 --case=no-such-case)
expect(2 --transport=carrier-pigeon)
expect(2 --what)
expect(2 --repeat=0)
