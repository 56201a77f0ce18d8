# The code generator, and what it carries inside: the kernel templates' bitcode (cmake/templates.cmake)
# and the archives of the runtime, its libraries and the emulator, so that the compiler is one file.
add_library(nm_codegen STATIC ${CODEGEN_C})
target_include_directories(nm_codegen SYSTEM PRIVATE ${LLVM_INCLUDE})
find_package(Threads REQUIRED)
target_link_libraries(nm_codegen PUBLIC nm_ir nm_templates Threads::Threads ${LLVM_LIBDIR}/libLLVM-22.so)
set(RUNTIME_ARCHIVE ${CMAKE_ARCHIVE_OUTPUT_DIRECTORY}/libnmrt.a)
set(EMULATOR_ARCHIVE ${CMAKE_ARCHIVE_OUTPUT_DIRECTORY}/libnmemu.a)
set(EMBEDDED_ARCHIVES ${RUNTIME_ARCHIVE} ${EMULATOR_ARCHIVE} ${PCRE2_ARCHIVE} ${UTF8PROC_ARCHIVE})
add_dependencies(nm_codegen nmrt nmemu)
set_source_files_properties(codegen/embed.c PROPERTIES
  COMPILE_DEFINITIONS "NM_RUNTIME_ARCHIVE=\"${RUNTIME_ARCHIVE}\";NM_EMULATOR_ARCHIVE=\"${EMULATOR_ARCHIVE}\";NM_PCRE2_ARCHIVE=\"${PCRE2_ARCHIVE}\";NM_UTF8PROC_ARCHIVE=\"${UTF8PROC_ARCHIVE}\""
  OBJECT_DEPENDS "${EMBEDDED_ARCHIVES}")
set_source_files_properties(codegen/link.c PROPERTIES COMPILE_DEFINITIONS "NM_LLD=\"${LLD}\"")
