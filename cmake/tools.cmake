# The tools. Plug-ins (passes/plugin.h) call into them, so that all of ir/ and passes/ is in, used or not, and its
# names are theirs to see.
set(PLUGIN_SYMBOLS -Wl,--whole-archive nm_passes nm_ir nm_base -Wl,--no-whole-archive
  -Wl,--export-dynamic-symbol=nm_* ${CMAKE_DL_LIBS})

add_executable(nemocc-opt nemocc-opt.c nemocc-opt-run.c)
target_link_libraries(nemocc-opt ${PLUGIN_SYMBOLS} m)

if(TARGET nm_frontend AND TARGET nm_codegen AND EXISTS ${CMAKE_SOURCE_DIR}/nemocc.c)
  add_executable(nemocc nemocc.c options.c graph.c)
  target_compile_definitions(nemocc PRIVATE NEMOCC_VERSION="${PROJECT_VERSION}")
  target_link_libraries(nemocc ${PLUGIN_SYMBOLS} nm_frontend nm_codegen)
endif()

# Corpora need no compiler.
add_executable(nemocc-data nemocc-data.c nemocc-data-options.c)
target_compile_definitions(nemocc-data PRIVATE NEMOCC_VERSION="${PROJECT_VERSION}")
target_link_libraries(nemocc-data nmrt nm_base)
