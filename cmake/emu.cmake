# The emulator of GPU kernels, for emitted binaries (libnmemu.a), and again under the sanitizers for its tests.
file(GLOB NMEMU_C CONFIGURE_DEPENDS runtime/emu/*.c)
find_package(Threads REQUIRED)
add_library(nmemu STATIC ${NMEMU_C})
target_compile_options(nmemu PRIVATE -O3 -g0 -fno-math-errno -fno-sanitize=all)
set_target_properties(nmemu PROPERTIES POSITION_INDEPENDENT_CODE ON)
target_link_libraries(nmemu PUBLIC m Threads::Threads)

# tests/emu/kernels_test.c computes much and runs as emitted programs do. Its parts are libraries, so that mutants.sh can
# put a changed kernel in the place of one.
add_library(emu_kernels STATIC tests/emu/kernels/gemm_sm80.c)
add_library(emu_kernels_64 STATIC tests/emu/kernels/attn_fwd.c tests/emu/kernels/attn_bwd.c)
add_library(emu_kernels_128 STATIC tests/emu/kernels/attn_fwd.c tests/emu/kernels/attn_bwd.c)
add_library(emu_kernels_main STATIC tests/emu/kernels_test.c)
target_compile_definitions(emu_kernels_64 PRIVATE HD=64)
target_compile_definitions(emu_kernels_128 PRIVATE HD=128)
add_executable(emu_kernels_test tests/emu/kernels_test.c)
foreach(target emu_kernels emu_kernels_64 emu_kernels_128 emu_kernels_main emu_kernels_test)
  target_compile_options(${target} PRIVATE -O2 -fno-sanitize=all)
endforeach()
target_link_options(emu_kernels_test PRIVATE -fno-sanitize=all)
target_link_libraries(emu_kernels_test PRIVATE emu_kernels emu_kernels_64 emu_kernels_128 nmemu)
# The templates of attention, which compute much, too; those in bf16 again as sm_90a has them.
function(emu_attn_test NAME SOURCE TEMPLATES)
  add_executable(emu_${NAME}_test tests/emu/${SOURCE}_test.c codegen/templates/math.c codegen/templates/random.c)
  foreach(template ${TEMPLATES})
    target_sources(emu_${NAME}_test PRIVATE codegen/templates/gpu/${template}.c)
  endforeach()
  target_compile_definitions(emu_${NAME}_test PRIVATE NM_VL=4 ${ARGN})
  target_compile_options(emu_${NAME}_test PRIVATE -O2 -fno-math-errno -fno-sanitize=all -Wno-pass-failed)
  target_link_options(emu_${NAME}_test PRIVATE -fno-sanitize=all)
  target_link_libraries(emu_${NAME}_test PRIVATE nmemu)
endfunction()
emu_attn_test(attn attn "attn;attn_grad")
emu_attn_test(attn_bf16 attn_bf16 "attn_bf16;attn_bf16_grad")
emu_attn_test(attn_sm90a attn_bf16 "attn_bf16;attn_bf16_grad" NMG_SM90A)
emu_attn_test(attn_maps attn_maps attn_bf16_maps NMG_SM90A)
emu_attn_test(attn_grad_maps attn_grad_maps "attn_bf16;attn_bf16_grad;attn_bf16_grad_maps" NMG_SM90A)
set(NMEMU_TESTS emu_kernels_test emu_attn_test emu_attn_bf16_test emu_attn_sm90a_test emu_attn_maps_test emu_attn_grad_maps_test)

# The other tests run under the sanitizers.
set(NMEMU_CHECKED -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined)
add_library(nmemu_checked STATIC ${NMEMU_C})
target_compile_options(nmemu_checked PUBLIC ${NMEMU_CHECKED})
target_link_options(nmemu_checked PUBLIC ${NMEMU_CHECKED})
target_link_libraries(nmemu_checked PUBLIC m Threads::Threads)

foreach(name prims misuse memory products driver blas blas_fp8 nccl)
  add_executable(emu_${name}_test tests/emu/${name}_test.c)
  target_link_libraries(emu_${name}_test PRIVATE nmemu_checked)
  list(APPEND NMEMU_TESTS emu_${name}_test)
endforeach()
foreach(name driver blas blas_fp8 nccl) # the runtime knows the emulator by a weak symbol alone
  target_link_options(emu_${name}_test PRIVATE -Wl,-u,nmrt_gpu_emulator)
endforeach()
target_sources(emu_products_test PRIVATE codegen/templates/gpu/gemm.c codegen/templates/gpu/gemm_bf16.c
  codegen/templates/gpu/scatter.c)
target_sources(emu_prims_test PRIVATE tests/emu/kernels/probe_sm80.c tests/emu/kernels/probe_sm90.c)
set_target_properties(${NMEMU_TESTS} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)

# Runs what tests of codegen for GPUs have written, on a GPU or the emulator. Kernels that are loaded find the emulator's
# primitives in it.
add_executable(kernels tests/tools/kernels.c)
target_compile_options(kernels PRIVATE -fno-sanitize=all)
target_link_options(kernels PRIVATE -fno-sanitize=all)
target_link_libraries(kernels PRIVATE nmrt -Wl,--whole-archive nmemu -Wl,--no-whole-archive)
set_target_properties(kernels PROPERTIES ENABLE_EXPORTS ON RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/tools)
