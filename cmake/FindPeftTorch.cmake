# Finds libtorch for the CPU without the CUDA toolkit that the wheel's own package file asks for.
#
#   TORCH_ROOT   folder that holds include/ and lib/ (cache or environment variable); default: the
#                wheel that ./quickstart unpacks into .deps/torch.
#
# Defines the target PeftTorch::torch: libtorch_cpu and libc10, and libtorch_cuda where the folder has
# it (the pinned wheel is unpacked without: it would drag in two gigabytes of CUDA libraries).
set(TORCH_ROOT "" CACHE PATH "libtorch: the folder that holds include/ and lib/")
set(_candidates ${TORCH_ROOT} $ENV{TORCH_ROOT} ${PROJECT_SOURCE_DIR}/.deps/torch)
find_path(PeftTorch_INCLUDE_DIR torch/csrc/api/include/torch/torch.h
          PATHS ${_candidates} PATH_SUFFIXES include NO_DEFAULT_PATH)
find_library(PeftTorch_CPU_LIBRARY torch_cpu PATHS ${_candidates} PATH_SUFFIXES lib NO_DEFAULT_PATH)
find_library(PeftTorch_CUDA_LIBRARY torch_cuda PATHS ${_candidates} PATH_SUFFIXES lib
             NO_DEFAULT_PATH)
find_library(PeftTorch_C10_LIBRARY c10 PATHS ${_candidates} PATH_SUFFIXES lib NO_DEFAULT_PATH)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(PeftTorch
  REQUIRED_VARS PeftTorch_CPU_LIBRARY PeftTorch_C10_LIBRARY PeftTorch_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "run ./quickstart --setup-only, or set TORCH_ROOT to a libtorch folder")
if(PeftTorch_FOUND AND NOT TARGET PeftTorch::torch)
  get_filename_component(PeftTorch_LIBRARY_DIR ${PeftTorch_CPU_LIBRARY} DIRECTORY)
  get_filename_component(_root ${PeftTorch_LIBRARY_DIR} DIRECTORY)
  add_library(PeftTorch::c10 SHARED IMPORTED GLOBAL)
  set_target_properties(PeftTorch::c10 PROPERTIES IMPORTED_LOCATION ${PeftTorch_C10_LIBRARY})
  add_library(PeftTorch::torch SHARED IMPORTED GLOBAL)
  set_target_properties(PeftTorch::torch PROPERTIES
    IMPORTED_LOCATION ${PeftTorch_CPU_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES
      "${PeftTorch_INCLUDE_DIR};${PeftTorch_INCLUDE_DIR}/torch/csrc/api/include"
    INTERFACE_LINK_LIBRARIES PeftTorch::c10
    INTERFACE_LINK_OPTIONS
      "-Wl,-rpath-link,${PeftTorch_LIBRARY_DIR};-Wl,-rpath-link,${_root}/../nvidia/cu13/lib")
  if(PeftTorch_CUDA_LIBRARY)
    # Nothing calls into it: it registers its kernels when it is loaded.
    set_property(TARGET PeftTorch::torch APPEND PROPERTY INTERFACE_LINK_LIBRARIES
                 -Wl,--push-state,--no-as-needed ${PeftTorch_CUDA_LIBRARY} -Wl,--pop-state)
  endif()
endif()
mark_as_advanced(PeftTorch_INCLUDE_DIR PeftTorch_CPU_LIBRARY PeftTorch_CUDA_LIBRARY
                 PeftTorch_C10_LIBRARY)
