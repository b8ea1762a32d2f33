# cmake --install: the library, its public headers, the program and the package `find_package(peft)`.
#
# The installed files remember the libtorch that they were built against; a user's TORCH_ROOT wins.
include(CMakePackageConfigHelpers)
get_filename_component(_torch_lib ${PeftTorch_CPU_LIBRARY} DIRECTORY)
get_filename_component(PEFT_BUILT_WITH_TORCH ${_torch_lib} DIRECTORY)
set(_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/peft)

set_target_properties(peft PROPERTIES INSTALL_RPATH "$ORIGIN;${_torch_lib}")
install(TARGETS peft EXPORT peftTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET peft_cli)
  file(RELATIVE_PATH _lib_from_bin ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
  set_target_properties(peft_cli PROPERTIES INSTALL_RPATH "$ORIGIN/${_lib_from_bin};${_torch_lib}")
  install(TARGETS peft_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

# A header named *_internal.h is for the library's own sources.
install(DIRECTORY ${PROJECT_SOURCE_DIR}/peft/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/peft
        FILES_MATCHING PATTERN "*.h" PATTERN "*.def" PATTERN "*_internal.h" EXCLUDE)

install(EXPORT peftTargets NAMESPACE peft:: DESTINATION ${_package_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/peftConfig.cmake.in
  ${PROJECT_BINARY_DIR}/peftConfig.cmake INSTALL_DESTINATION ${_package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/peftConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/peftConfig.cmake ${PROJECT_BINARY_DIR}/peftConfigVersion.cmake
              ${CMAKE_CURRENT_LIST_DIR}/FindPeftTorch.cmake DESTINATION ${_package_dir})
