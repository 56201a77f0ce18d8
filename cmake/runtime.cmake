# The runtime that every emitted binary contains. libc and libm only; its own flags, as it is shipped.
add_library(nmrt STATIC ${RUNTIME_C})
target_compile_options(nmrt PRIVATE -O2 -ffp-contract=off)
set_target_properties(nmrt PROPERTIES POSITION_INDEPENDENT_CODE ON)
target_link_libraries(nmrt PUBLIC m)
