add_library(nm_passes STATIC ${PASSES_C})
target_link_libraries(nm_passes PUBLIC nm_ir)
