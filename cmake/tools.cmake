add_executable(nemocc-opt nemocc-opt.c nemocc-opt-run.c)
target_link_libraries(nemocc-opt nm_passes)

if(TARGET nm_frontend AND TARGET nm_codegen AND EXISTS ${CMAKE_SOURCE_DIR}/nemocc.c)
  add_executable(nemocc nemocc.c options.c graph.c)
  target_compile_definitions(nemocc PRIVATE NEMOCC_VERSION="${PROJECT_VERSION}")
  target_link_libraries(nemocc nm_frontend nm_passes nm_codegen)
endif()
