# C of the user's own (base/clang.h): which clang compiles it, and the headers that nemocc carries for it.
set(OP_HEADER ${CMAKE_SOURCE_DIR}/codegen/templates/op.h)
set(PRIMS_HEADER ${CMAKE_SOURCE_DIR}/runtime/emu/prims.h)
set_source_files_properties(base/clang.c PROPERTIES
  COMPILE_DEFINITIONS "NM_CLANG=\"${CLANG}\";NM_OP_HEADER=\"${OP_HEADER}\";NM_PRIMS_HEADER=\"${PRIMS_HEADER}\""
  OBJECT_DEPENDS "${OP_HEADER};${PRIMS_HEADER}")
# Only its header when nemocc is built: the library is loaded when a model has such C.
set_source_files_properties(base/clang_prototype.c PROPERTIES
  COMPILE_DEFINITIONS "NM_LIBCLANG=\"${LLVM_LIBDIR}/libclang-22.so.22\"" COMPILE_OPTIONS "-isystem;${LLVM_INCLUDE}")
