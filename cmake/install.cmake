# `cmake --install`: the tools, the headers that plug-ins see, the models for reading, and a CMake package. What binaries
# are linked from, and all models, are inside nemocc itself.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(NEMOCC_HEADERS ${CMAKE_INSTALL_INCLUDEDIR}/nemocc)
set(NEMOCC_PACKAGE ${CMAKE_INSTALL_LIBDIR}/cmake/nemocc)

install(TARGETS nemocc nemocc-opt nemocc-data EXPORT nemocc RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(EXPORT nemocc NAMESPACE nemocc:: FILE nemoccTargets.cmake DESTINATION ${NEMOCC_PACKAGE})
install(DIRECTORY base ir passes DESTINATION ${NEMOCC_HEADERS} FILES_MATCHING PATTERN "*.h" PATTERN "*.def")
# What extern ops are written in; nemocc has its own copies: these are for editors.
install(FILES codegen/templates/op.h runtime/emu/prims.h DESTINATION ${NEMOCC_HEADERS})
install(DIRECTORY models/ DESTINATION ${CMAKE_INSTALL_DATADIR}/nemocc/models FILES_MATCHING PATTERN "*.nm" PATTERN "*.c")

configure_package_config_file(cmake/nemoccConfig.cmake.in ${CMAKE_BINARY_DIR}/nemoccConfig.cmake
  INSTALL_DESTINATION ${NEMOCC_PACKAGE} PATH_VARS NEMOCC_HEADERS)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/nemoccConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/nemoccConfig.cmake ${CMAKE_BINARY_DIR}/nemoccConfigVersion.cmake
  cmake/nemocc_add_pass.cmake DESTINATION ${NEMOCC_PACKAGE})
install(PROGRAMS cmake/run-lines.sh DESTINATION ${NEMOCC_PACKAGE})
