# Every tests/NAME_test.c is a program build/tests/NAME_test against all rooms of the compiler.
# Tests of the runtime, which knows no compiler room, are declared in cmake/runtime.cmake.
file(GLOB TEST_C CONFIGURE_DEPENDS tests/*_test.c tests/ir/*_test.c tests/passes/*_test.c tests/frontend/*_test.c tests/codegen/*_test.c)
foreach(source ${TEST_C})
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  foreach(room nm_codegen nm_passes nm_frontend nm_ir)
    if(TARGET ${room})
      target_link_libraries(${name} PRIVATE ${room})
    endif()
  endforeach()
  # Kernels that are loaded find the emulator's primitives in the test.
  if(name MATCHES "_gpu_test$")
    set_target_properties(${name} PROPERTIES ENABLE_EXPORTS ON)
    target_link_libraries(${name} PRIVATE -Wl,--whole-archive nmemu -Wl,--no-whole-archive)
  endif()
endforeach()
