# What it needs besides libc for tokenizers' regular expressions and normal forms, always static: emitted binaries need
# libc alone when they run.
find_path(PCRE2_INCLUDE pcre2.h REQUIRED)
find_library(PCRE2_ARCHIVE libpcre2-8.a REQUIRED)
find_path(UTF8PROC_INCLUDE utf8proc.h REQUIRED)
find_library(UTF8PROC_ARCHIVE libutf8proc.a REQUIRED)
set(NMRT_LIBRARIES ${PCRE2_ARCHIVE} ${UTF8PROC_ARCHIVE} m)

# The runtime that every emitted binary contains: with its own flags, as it is shipped inside the compiler. Never sanitized: emitted programs link without a sanitizer's runtime.
add_library(nmrt STATIC ${RUNTIME_C})
target_compile_options(nmrt PRIVATE -O2 -g0 -ffp-contract=off -fno-sanitize=all)
set_target_properties(nmrt PROPERTIES POSITION_INDEPENDENT_CODE ON)
target_link_libraries(nmrt PUBLIC ${NMRT_LIBRARIES})

# Its tests run under the sanitizers, always, against tests/runtime/fake_program.c: what a compiler
# would emit, written by hand. `fake` is that program as a user would have it, `fake_checked` sanitized.
set(NMRT_CHECKED -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined)
list(FILTER RUNTIME_C EXCLUDE REGEX "/main\\.c$")
add_library(nmrt_checked STATIC ${RUNTIME_C} tests/runtime/fake_program.c)
target_compile_options(nmrt_checked PUBLIC ${NMRT_CHECKED})
target_link_options(nmrt_checked PUBLIC ${NMRT_CHECKED})
target_link_libraries(nmrt_checked PUBLIC ${NMRT_LIBRARIES})

add_executable(fake tests/runtime/fake_program.c)
target_compile_options(fake PRIVATE -O2 -fno-sanitize=all)
target_link_options(fake PRIVATE -fno-sanitize=all)
target_link_libraries(fake PRIVATE nmrt)
add_executable(fake_other tests/runtime/fake_program.c) # another model: a smaller vocabulary, no decoding
target_compile_definitions(fake_other PRIVATE FAKE_VOCAB=128 "FAKE_NAME=\"other\""
                           "FAKE_NO_DECODE=\"attention to both sides (fake.nm:5)\"")
target_compile_options(fake_other PRIVATE -O2 -fno-sanitize=all)
target_link_options(fake_other PRIVATE -fno-sanitize=all)
target_link_libraries(fake_other PRIVATE nmrt)
add_executable(fake_units tests/runtime/fake_units.c) # cut into units, for a mesh
target_compile_options(fake_units PRIVATE -O2 -fno-sanitize=all)
target_link_options(fake_units PRIVATE -fno-sanitize=all)
target_link_libraries(fake_units PRIVATE nmrt)
add_executable(fake_units_checked ${RUNTIME_C} runtime/main.c tests/runtime/fake_units.c)
target_compile_options(fake_units_checked PRIVATE ${NMRT_CHECKED})
target_link_options(fake_units_checked PRIVATE ${NMRT_CHECKED})
target_link_libraries(fake_units_checked PRIVATE ${NMRT_LIBRARIES})
add_executable(fake_checked runtime/main.c)
target_link_libraries(fake_checked PRIVATE nmrt_checked)
set_target_properties(fake fake_other fake_checked fake_units fake_units_checked PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/runtime)

file(GLOB NMRT_TEST_C CONFIGURE_DEPENDS tests/runtime/*_test.c)
foreach(source ${NMRT_TEST_C})
  get_filename_component(name ${source} NAME_WE)
  add_executable(runtime_${name} ${source})
  set_target_properties(runtime_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(runtime_${name} PRIVATE nmrt_checked)
endforeach()

# runtime_gpu_test finds this where NVIDIA's libraries would be: one file by their names.
add_library(fake_cuda MODULE tests/runtime/fake_cuda.c tests/runtime/fake_cuda_rest.c)
target_compile_options(fake_cuda PRIVATE -O1 -g -fno-sanitize=all)
target_link_options(fake_cuda PRIVATE -fno-sanitize=all)
set_target_properties(fake_cuda PROPERTIES PREFIX "" OUTPUT_NAME libcuda SUFFIX .so.1
                      LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/runtime/fake_cuda)
add_custom_command(TARGET fake_cuda POST_BUILD WORKING_DIRECTORY ${CMAKE_BINARY_DIR}/runtime/fake_cuda
                   COMMAND ${CMAKE_COMMAND} -E create_symlink libcuda.so.1 libcublasLt.so.12)
add_dependencies(runtime_gpu_test fake_cuda)
target_compile_definitions(runtime_gpu_test PRIVATE FAKE_CUDA_FOLDER="${CMAKE_BINARY_DIR}/runtime/fake_cuda")

# The readers of checkpoints, fuzzed: tests/runtime/fuzz.sh runs it for some seconds.
if(CMAKE_C_COMPILER_ID MATCHES Clang)
  set(JSON_C runtime/json.c base/json.c base/json_ask.c base/json_string.c)
  add_executable(runtime_fuzz tests/runtime/fuzz.c ${JSON_C} runtime/safetensors.c runtime/dtype.c runtime/text.c
                 runtime/status.c)
  target_compile_options(runtime_fuzz PRIVATE ${NMRT_CHECKED} -fsanitize=fuzzer)
  target_link_options(runtime_fuzz PRIVATE ${NMRT_CHECKED} -fsanitize=fuzzer)
  target_link_libraries(runtime_fuzz PRIVATE m)
  set_target_properties(runtime_fuzz PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/runtime)
endif()

# What a checkpoint's index says of a tensor, fuzzed.
if(CMAKE_C_COMPILER_ID MATCHES Clang)
  add_executable(index_fuzz tests/fuzz/index_fuzz.c runtime/checkpoint_index.c runtime/pieces.c ${JSON_C})
  target_compile_options(index_fuzz PRIVATE -fsanitize=fuzzer)
  target_link_options(index_fuzz PRIVATE -fsanitize=fuzzer)
  target_link_libraries(index_fuzz PRIVATE nmrt_checked)
  set_target_properties(index_fuzz PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
endif()

# The readers of tokenizers' files, of corpora and of foreign folders, fuzzed, each by tests/fuzz/NAME_fuzz.c.
if(CMAKE_C_COMPILER_ID MATCHES Clang)
  file(GLOB TOKENIZER_C CONFIGURE_DEPENDS runtime/tokenizer/*.c)
  add_library(tokenizer_fuzzed STATIC ${TOKENIZER_C} runtime/corpus/indexed.c runtime/corpus/line.c
              runtime/corpus/reader.c runtime/text.c runtime/status.c runtime/file.c ${JSON_C} runtime/hash.c
              runtime/safetensors.c runtime/dtype.c runtime/foreign/config.c runtime/foreign/config_print.c
              runtime/foreign/folder.c)
  target_compile_options(tokenizer_fuzzed PRIVATE ${NMRT_CHECKED} -fsanitize=fuzzer-no-link)
  target_link_libraries(tokenizer_fuzzed PUBLIC ${NMRT_LIBRARIES})
  foreach(name spm tokenizer corpus foreign)
    add_executable(${name}_fuzz tests/fuzz/${name}_fuzz.c)
    target_compile_options(${name}_fuzz PRIVATE ${NMRT_CHECKED} -fsanitize=fuzzer)
    target_link_options(${name}_fuzz PRIVATE ${NMRT_CHECKED} -fsanitize=fuzzer)
    target_link_libraries(${name}_fuzz PRIVATE tokenizer_fuzzed)
    set_target_properties(${name}_fuzz PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  endforeach()
endif()

# What tests compare checkpoints and safetensors files with, and what reads event files and traces.
foreach(tool compare tensors events peak trace_check)
  add_executable(${tool} tests/tools/${tool}.c)
  target_link_libraries(${tool} PRIVATE nmrt)
  target_compile_options(${tool} PRIVATE -fno-sanitize=all)
  target_link_options(${tool} PRIVATE -fno-sanitize=all)
  set_target_properties(${tool} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/tools)
endforeach()
