# The fuzzer of IR text: base and ir, built again with coverage and sanitizers.
add_executable(nmir_fuzz tests/fuzz/nmir_fuzz.c ${IR_C} ${BASE_C})
target_compile_options(nmir_fuzz PRIVATE -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined)
target_link_options(nmir_fuzz PRIVATE -fsanitize=fuzzer,address,undefined)
target_link_libraries(nmir_fuzz PRIVATE m)
set_target_properties(nmir_fuzz PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
