# cmake -DBUILD_DIR= -DPROJECT_DIR= -DWORK_DIR= -DGENERATOR= -P install_test.cmake
#
# What somebody who only has the installed tree can do: find the package, link with --as-needed, and
# open a plugin that uses the library twice.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    list(JOIN ARGN " " line)
    message(FATAL_ERROR "expected exit status 0, got ${status}: ${line}")
  endif()
endfunction()

set(prefix ${WORK_DIR}/prefix)
file(REMOVE_RECURSE ${WORK_DIR})
run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${prefix})
file(GLOB_RECURSE internal ${prefix}/include/*_internal.h)
if(internal)
  message(FATAL_ERROR "expected no internal header among the installed ones, got ${internal}")
endif()
run(${CMAKE_COMMAND} -S ${PROJECT_DIR} -B ${WORK_DIR}/build -G ${GENERATOR}
    -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_BUILD_TYPE=Release)
run(${CMAKE_COMMAND} --build ${WORK_DIR}/build)
run(${CMAKE_COMMAND} -E chdir ${WORK_DIR} ${WORK_DIR}/build/program ${WORK_DIR}/adapter)
run(${CMAKE_COMMAND} -E chdir ${WORK_DIR} ${WORK_DIR}/build/host ${WORK_DIR}/build/libplugin.so)
run(${prefix}/bin/peft --version)
