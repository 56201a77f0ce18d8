# The kernel templates: freestanding C -> for each vector length, bitcode of the entry points, which codegen
# specialises, and machine code of what they share (codegen/templates/simd.h). nm_codegen links nm_templates,
# which holds both as data: codegen/templates/embed.h.
find_program(LLVM_LINK llvm-link-22 REQUIRED)
find_program(LLVM_OPT opt-22 REQUIRED)

set(TEMPLATE_CPU_4 x86-64-v2)
set(TEMPLATE_CPU_8 x86-64-v3)
set(TEMPLATE_CPU_16 x86-64-v4)
set(TEMPLATE_DIR ${CMAKE_BINARY_DIR}/codegen/templates)
file(MAKE_DIRECTORY ${TEMPLATE_DIR})
file(GLOB TEMPLATE_C CONFIGURE_DEPENDS codegen/templates/*.c)
file(GLOB TEMPLATE_SHARED CONFIGURE_DEPENDS codegen/templates/shared_*.c)
file(GLOB TEMPLATE_H CONFIGURE_DEPENDS codegen/templates/*.h base/philox.h base/hash.h)
list(REMOVE_ITEM TEMPLATE_C ${CMAKE_SOURCE_DIR}/codegen/templates/embed.c ${TEMPLATE_SHARED})

# One file for vector length VL; further arguments are flags.
function(template_compile SOURCE OUT VL)
  add_custom_command(OUTPUT ${OUT}
    COMMAND ${CLANG} -std=c17 -I${CMAKE_SOURCE_DIR} -march=${TEMPLATE_CPU_${VL}} -DNM_VL=${VL}
      -ffp-contract=fast -fno-math-errno -mprefer-vector-width=512 -Wall -Wextra -Wpedantic -Wshadow
      ${ARGN} -c -o ${OUT} ${SOURCE}
    DEPENDS ${SOURCE} ${TEMPLATE_H} VERBATIM)
endfunction()
set(TEMPLATE_FREE -ffreestanding -nostdlibinc)
# Only translated (-O1, or functions would be marked optnone): optimisation comes when hooks are known.
set(TEMPLATE_BITCODE -O1 -Xclang -disable-llvm-passes -emit-llvm)

foreach(VL 4 8 16)
  set(parts)
  foreach(source ${TEMPLATE_C})
    get_filename_component(name ${source} NAME_WE)
    template_compile(${source} ${TEMPLATE_DIR}/${name}_${VL}.bc ${VL} ${TEMPLATE_BITCODE} ${TEMPLATE_FREE})
    list(APPEND parts ${TEMPLATE_DIR}/${name}_${VL}.bc)
  endforeach()
  add_custom_command(OUTPUT ${TEMPLATE_DIR}/templates_${VL}.bc
    COMMAND ${LLVM_LINK} -o ${TEMPLATE_DIR}/templates_${VL}.bc ${parts} DEPENDS ${parts} VERBATIM)
  list(APPEND TEMPLATE_BC ${TEMPLATE_DIR}/templates_${VL}.bc)
  foreach(source ${TEMPLATE_SHARED})
    get_filename_component(name ${source} NAME_WE)
    template_compile(${source} ${TEMPLATE_DIR}/${name}_${VL}.o ${VL} -O3 -fPIC -ffunction-sections ${TEMPLATE_FREE})
    list(APPEND TEMPLATE_O ${TEMPLATE_DIR}/${name}_${VL}.o)
  endforeach()
endforeach()
set(TEMPLATE_A ${TEMPLATE_DIR}/libtemplates.a)
add_custom_command(OUTPUT ${TEMPLATE_A}
  COMMAND ${CMAKE_COMMAND} -E rm -f ${TEMPLATE_A}
  COMMAND ${CMAKE_AR} rcsD ${TEMPLATE_A} ${TEMPLATE_O} DEPENDS ${TEMPLATE_O} VERBATIM)

# Templates of gpu kernels: bitcode for nvptx64, whatever the architecture; as sm_90a alone has them; for the emulator, both.
# Convergent: what all threads say together (a barrier is inline assembly) stays one place.
set(GPU_FLAGS_ptx --target=nvptx64-nvidia-cuda -nogpulib -fconvergent-functions -Xclang -target-cpu -Xclang sm_100a -Xclang -target-feature -Xclang +ptx86)
set(GPU_FLAGS_sm90a ${GPU_FLAGS_ptx} -DNMG_SM90A)
set(GPU_FLAGS_emu -march=x86-64-v3 -fPIC -fno-optimize-sibling-calls -gline-tables-only -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
set(GPU_FLAGS_emu_sm90a ${GPU_FLAGS_emu} -DNMG_SM90A)
file(GLOB GPU_TEMPLATE_C CONFIGURE_DEPENDS codegen/templates/gpu/*.c)
file(GLOB GPU_TEMPLATE_H CONFIGURE_DEPENDS codegen/templates/gpu/*.h)
list(APPEND GPU_TEMPLATE_C ${CMAKE_SOURCE_DIR}/codegen/templates/math.c ${CMAKE_SOURCE_DIR}/codegen/templates/random.c)
foreach(how ptx sm90a emu emu_sm90a)
  set(parts)
  foreach(source ${GPU_TEMPLATE_C})
    get_filename_component(name ${source} NAME_WE)
    add_custom_command(OUTPUT ${TEMPLATE_DIR}/gpu_${name}_${how}.bc
      COMMAND ${CLANG} -std=gnu17 -I${CMAKE_SOURCE_DIR} ${GPU_FLAGS_${how}} -DNM_VL=4 -ffp-contract=fast -fno-math-errno
        -Wall -Wextra -Wpedantic -Wshadow ${TEMPLATE_BITCODE} ${TEMPLATE_FREE} -c -o ${TEMPLATE_DIR}/gpu_${name}_${how}.bc ${source}
      DEPENDS ${source} ${TEMPLATE_H} ${GPU_TEMPLATE_H} runtime/emu/prims.h VERBATIM)
    list(APPEND parts ${TEMPLATE_DIR}/gpu_${name}_${how}.bc)
  endforeach()
  add_custom_command(OUTPUT ${TEMPLATE_DIR}/gpu_${how}.bc
    COMMAND ${LLVM_LINK} -o ${TEMPLATE_DIR}/gpu_${how}.bc ${parts} DEPENDS ${parts} VERBATIM)
  list(APPEND TEMPLATE_BC ${TEMPLATE_DIR}/gpu_${how}.bc)
endforeach()

add_library(nm_templates STATIC codegen/templates/embed.c)
target_compile_definitions(nm_templates PRIVATE TEMPLATE_DIR="${TEMPLATE_DIR}")
set_source_files_properties(codegen/templates/embed.c PROPERTIES OBJECT_DEPENDS "${TEMPLATE_BC};${TEMPLATE_A}")

# The templates' own tests: hooks and naive loops, linked with the bitcode as a kernel is, then optimised.
# One program for each vector length; on a machine that cannot run it, it says so and passes.
set(TEMPLATE_PASSES "internalize<preserve-gv=main>,always-inline,function(sroa,early-cse<memssa>),always-inline,globaldce,default<O3>")
function(template_program SOURCE NAME VL)
  set(bc ${TEMPLATE_DIR}/${NAME}.bc)
  template_compile(${SOURCE} ${bc} ${VL} ${TEMPLATE_BITCODE})
  add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/tests/${NAME}
    COMMAND ${LLVM_LINK} -o ${TEMPLATE_DIR}/${NAME}_all.bc ${bc} ${TEMPLATE_DIR}/templates_${VL}.bc
    COMMAND ${LLVM_OPT} -passes=${TEMPLATE_PASSES} -o ${TEMPLATE_DIR}/${NAME}_opt.bc ${TEMPLATE_DIR}/${NAME}_all.bc
    COMMAND ${CLANG} -O1 -Xclang -disable-llvm-passes -o ${CMAKE_BINARY_DIR}/tests/${NAME}
      ${TEMPLATE_DIR}/${NAME}_opt.bc ${TEMPLATE_A} -lm
    DEPENDS ${bc} ${TEMPLATE_DIR}/templates_${VL}.bc ${TEMPLATE_A} VERBATIM)
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
