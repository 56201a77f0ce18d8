# The frontend: scanner and parser from flex and bison, and the models that nemocc carries.
set(FRONTEND_GEN ${CMAKE_BINARY_DIR}/frontend)
file(MAKE_DIRECTORY ${FRONTEND_GEN})

bison_target(nm_grammar ${CMAKE_SOURCE_DIR}/frontend/grammar.y ${FRONTEND_GEN}/grammar.c
             DEFINES_FILE ${FRONTEND_GEN}/grammar.h COMPILE_FLAGS "-Wall -Werror")
flex_target(nm_scanner ${CMAKE_SOURCE_DIR}/frontend/scanner.l ${FRONTEND_GEN}/scanner.c)
add_flex_bison_dependency(nm_scanner nm_grammar)
# Generated code: flex's tables compare signed with unsigned, bison's parser may leave labels unused.
set_source_files_properties(${FRONTEND_GEN}/scanner.c ${FRONTEND_GEN}/grammar.c PROPERTIES
                            COMPILE_OPTIONS "-Wno-sign-compare;-Wno-unused-label;-Wno-unused-but-set-variable;-Wno-unused-function")

# Puts the files that a pattern of models/ names into nemocc: their texts, and the table `table` of them.
function(embed table pattern)
  file(GLOB files RELATIVE ${CMAKE_SOURCE_DIR}/models CONFIGURE_DEPENDS models/${pattern})
  set(rows "")
  foreach(file ${files})
    get_filename_component(stem ${file} NAME_WE)
    string(APPEND EMBEDDED "static const char ${table}_${stem}[] = {\n#embed \"${CMAKE_SOURCE_DIR}/models/${file}\"\n    , 0};\n")
    string(APPEND rows "    {\"${stem}\", \"${file}\", ${table}_${stem}},\n")
  endforeach()
  string(APPEND EMBEDDED "\nconst nm_embedded nm_embedded_${table}[] = {\n${rows}    {NULL, NULL, NULL},\n};\n")
  set(EMBEDDED "${EMBEDDED}" PARENT_SCOPE)
endfunction()

set(EMBEDDED "// Generated: texts of models/.\n#include \"frontend/embedded.h\"\n\n#include <stddef.h>\n\n")
embed(models *.nm)         # so that `use llama3` and the standard library need no path
embed(kernels kernels/*.c) # the C of their externs
file(GENERATE OUTPUT ${FRONTEND_GEN}/embedded.c CONTENT "${EMBEDDED}")
set_source_files_properties(${FRONTEND_GEN}/embedded.c PROPERTIES COMPILE_OPTIONS "-Wno-c23-extensions")

add_library(nm_frontend STATIC ${FRONTEND_C} ${BISON_nm_grammar_OUTPUTS} ${FLEX_nm_scanner_OUTPUTS}
            ${FRONTEND_GEN}/embedded.c)
target_link_libraries(nm_frontend PUBLIC nm_ir)

# The fuzzers of .nm files and of config.json: everything that reads them, built again with coverage and sanitizers.
add_library(frontend_fuzzed STATIC ${FRONTEND_C} ${IR_C} ${BASE_C} ${BISON_nm_grammar_OUTPUTS} ${FLEX_nm_scanner_OUTPUTS}
            ${FRONTEND_GEN}/embedded.c)
add_dependencies(frontend_fuzzed nm_frontend) # which makes the generated files
target_compile_options(frontend_fuzzed PRIVATE -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined)
target_link_libraries(frontend_fuzzed PUBLIC m)
foreach(name nm config)
  add_executable(${name}_fuzz tests/fuzz/${name}_fuzz.c)
  target_compile_options(${name}_fuzz PRIVATE -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined)
  target_link_options(${name}_fuzz PRIVATE -fsanitize=fuzzer,address,undefined)
  target_link_libraries(${name}_fuzz PRIVATE frontend_fuzzed)
  set_target_properties(${name}_fuzz PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
endforeach()
