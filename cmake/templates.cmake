# The kernel templates: freestanding C -> bitcode for each vector length -> one object that holds all of it.
# nm_codegen links nm_templates and reads codegen/templates/embed.h. Optimisation comes later, when a
# kernel's hooks are known: here clang only translates (-O1, or functions would be marked optnone).
include_guard(GLOBAL)
find_program(LLVM_LINK llvm-link-22 REQUIRED)
find_program(LLVM_OPT opt-22 REQUIRED)

set(TEMPLATE_FLAGS -std=c17 -I${CMAKE_SOURCE_DIR} -O1 -Xclang -disable-llvm-passes -emit-llvm -c
  -ffp-contract=fast -fno-math-errno -mprefer-vector-width=512 -Wall -Wextra -Wpedantic -Wshadow)
set(TEMPLATE_CPU_4 x86-64-v2)
set(TEMPLATE_CPU_8 x86-64-v3)
set(TEMPLATE_CPU_16 x86-64-v4)
set(TEMPLATE_DIR ${CMAKE_BINARY_DIR}/codegen/templates)
file(MAKE_DIRECTORY ${TEMPLATE_DIR})
file(GLOB TEMPLATE_C CONFIGURE_DEPENDS codegen/templates/*.c)
file(GLOB TEMPLATE_H CONFIGURE_DEPENDS codegen/templates/*.h base/philox.h base/hash.h)
list(REMOVE_ITEM TEMPLATE_C ${CMAKE_SOURCE_DIR}/codegen/templates/embed.c)

# One file to bitcode for vector length VL; further arguments are flags.
function(template_bitcode SOURCE OUT VL)
  add_custom_command(OUTPUT ${OUT}
    COMMAND ${CLANG} ${TEMPLATE_FLAGS} -march=${TEMPLATE_CPU_${VL}} -DNM_VL=${VL} ${ARGN} -o ${OUT} ${SOURCE}
    DEPENDS ${SOURCE} ${TEMPLATE_H} VERBATIM)
endfunction()

foreach(VL 4 8 16)
  set(parts)
  foreach(source ${TEMPLATE_C})
    get_filename_component(name ${source} NAME_WE)
    template_bitcode(${source} ${TEMPLATE_DIR}/${name}_${VL}.bc ${VL} -ffreestanding -nostdlibinc)
    list(APPEND parts ${TEMPLATE_DIR}/${name}_${VL}.bc)
  endforeach()
  add_custom_command(OUTPUT ${TEMPLATE_DIR}/templates_${VL}.bc
    COMMAND ${LLVM_LINK} -o ${TEMPLATE_DIR}/templates_${VL}.bc ${parts} DEPENDS ${parts} VERBATIM)
  list(APPEND TEMPLATE_BC ${TEMPLATE_DIR}/templates_${VL}.bc)
endforeach()
add_custom_target(template_bc DEPENDS ${TEMPLATE_BC})

add_library(nm_templates STATIC codegen/templates/embed.c)
target_compile_definitions(nm_templates PRIVATE TEMPLATE_DIR="${TEMPLATE_DIR}")
set_source_files_properties(codegen/templates/embed.c PROPERTIES OBJECT_DEPENDS "${TEMPLATE_BC}")

# The templates' own tests: hooks and naive loops, linked with the bitcode as a kernel is, then optimised.
# One program for each vector length; on a machine that cannot run it, it says so and passes.
set(TEMPLATE_PASSES "internalize<preserve-gv=main>,always-inline,function(sroa,early-cse<memssa>),always-inline,globaldce,default<O3>")
function(template_program SOURCE NAME VL)
  set(bc ${TEMPLATE_DIR}/${NAME}.bc)
  template_bitcode(${SOURCE} ${bc} ${VL})
  add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/tests/${NAME}
    COMMAND ${LLVM_LINK} -o ${TEMPLATE_DIR}/${NAME}_all.bc ${bc} ${TEMPLATE_DIR}/templates_${VL}.bc
    COMMAND ${LLVM_OPT} -passes=${TEMPLATE_PASSES} -o ${TEMPLATE_DIR}/${NAME}_opt.bc ${TEMPLATE_DIR}/${NAME}_all.bc
    COMMAND ${CLANG} -O1 -Xclang -disable-llvm-passes -o ${CMAKE_BINARY_DIR}/tests/${NAME}
      ${TEMPLATE_DIR}/${NAME}_opt.bc -lm
    DEPENDS ${bc} ${TEMPLATE_DIR}/templates_${VL}.bc VERBATIM)
  add_custom_target(${NAME} ALL DEPENDS ${CMAKE_BINARY_DIR}/tests/${NAME})
endfunction()

file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
file(GLOB TEMPLATE_TESTS CONFIGURE_DEPENDS tests/templates/*_test.c)
foreach(source ${TEMPLATE_TESTS})
  get_filename_component(name ${source} NAME_WE)
  foreach(VL 4 8 16)
    template_program(${source} ${name}_${VL} ${VL})
  endforeach()
endforeach()
