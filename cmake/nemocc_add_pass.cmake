# nemocc_add_pass(NAME SOURCE... [TESTS FILE...]): the plug-in NAME.so, for `nemocc --load-pass`, built with the headers of
# the nemocc that was found. A test is a file with "# RUN:" lines, as in nemocc's own tree: %s is the file, %t a scratch
# path, and nemocc, nemocc-opt and FileCheck are on the PATH; `nemocc` and `nemocc-opt` have the plug-in loaded.
set(NEMOCC_RUN_LINES ${CMAKE_CURRENT_LIST_DIR}/run-lines.sh)

function(nemocc_add_pass NAME)
  cmake_parse_arguments(PARSE_ARGV 1 PASS "" "" "TESTS")
  add_library(${NAME} MODULE ${PASS_UNPARSED_ARGUMENTS})
  target_include_directories(${NAME} PRIVATE ${NEMOCC_INCLUDE_DIR})
  set_target_properties(${NAME} PROPERTIES PREFIX "" SUFFIX .so C_STANDARD 17 C_EXTENSIONS ON C_VISIBILITY_PRESET hidden)
  foreach(test ${PASS_TESTS})
    get_filename_component(stem ${test} NAME_WE)
    get_filename_component(file ${test} ABSOLUTE)
    add_test(NAME ${NAME}.${stem} COMMAND ${NEMOCC_RUN_LINES} ${file} $<TARGET_FILE:${NAME}>
      $<TARGET_FILE:nemocc::nemocc> $<TARGET_FILE:nemocc::nemocc-opt>)
  endforeach()
endfunction()
