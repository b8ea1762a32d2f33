# peft_room(NAME [TORCH] SOURCES file...)
#
# One room of the library as an OBJECT target peft_<NAME>. A room without TORCH never sees a torch
# header: it compiles in a second and can be fuzzed alone.
set_property(GLOBAL PROPERTY PEFT_ROOMS "")

# Two precompiled headers: what the library and the program need, and all of libtorch's C++ API for
# tests and benchmarks. GCC instantiates the templates of a precompiled header again in every unit,
# so the small one saves a third of the library's build.
# OpenMP: without it at::parallel_for, which is inline, runs on one thread.
function(peft_precompile target)
  add_library(${target} OBJECT ${CMAKE_BINARY_DIR}/pch/empty.cpp)
  target_link_libraries(${target} PRIVATE PeftTorch::torch OpenMP::OpenMP_CXX)
  target_precompile_headers(${target} PRIVATE ${ARGN})
endfunction()

if(NOT TARGET peft_pch)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/pch/empty.cpp CONTENT "")
  peft_precompile(peft_pch <ATen/ATen.h> <ATen/Parallel.h> <torch/csrc/autograd/custom_function.h>
                  <torch/nn/module.h>)
  peft_precompile(peft_whole_pch <torch/torch.h>)
endif()

# peft_use_torch(TARGET [WHOLE])
function(peft_use_torch target)
  cmake_parse_arguments(USE "WHOLE" "" "" ${ARGN})
  target_link_libraries(${target} PRIVATE PeftTorch::torch OpenMP::OpenMP_CXX)
  if(USE_WHOLE)
    target_precompile_headers(${target} REUSE_FROM peft_whole_pch)
  else()
    target_precompile_headers(${target} REUSE_FROM peft_pch)
  endif()
endfunction()

# peft_unite(TARGET SOURCES-IN-ONE)
#
# What dominates a unit is not its own code but what its headers cost again and again: 5 s for the
# pending templates of the precompiled torch header, 4 s for header-only fmt.
function(peft_unite target batch)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${PEFT_UNITY}
                        UNITY_BUILD_BATCH_SIZE ${batch})
  if(PEFT_UNITY AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # A united source counts as a header, where types of nameless namespaces would be a mistake.
    target_compile_options(${target} PRIVATE -Wno-subobject-linkage)
  endif()
endfunction()

function(peft_room name)
  cmake_parse_arguments(ROOM "TORCH" "" "SOURCES" ${ARGN})
  set(target peft_${name})
  add_library(${target} OBJECT ${ROOM_SOURCES})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${target} PRIVATE peft_warnings peft_fmt nlohmann_json::nlohmann_json
                        PkgConfig::oniguruma PkgConfig::utf8proc)
  if(ROOM_TORCH)
    peft_use_torch(${target})
    peft_unite(${target} 6)
  else()
    peft_unite(${target} 12)
  endif()
  set_property(GLOBAL APPEND PROPERTY PEFT_ROOMS ${target})
endfunction()

# peft_test(NAME [TORCH] ROOMS room... SOURCES file... [LABELS label...])
#
# One GoogleTest program for one room. It links the objects of the rooms it names, so that a room can
# be built and tested while another one is being changed.
function(peft_test name)
  cmake_parse_arguments(T "TORCH" "TIMEOUT" "ROOMS;SOURCES;LABELS;LIBRARIES" ${ARGN})
  set(target test_${name})
  add_executable(${target} ${T_SOURCES})
  # The registry names every method, and the front door opens tokenizers.
  if("methods" IN_LIST T_ROOMS)
    get_property(methods GLOBAL PROPERTY PEFT_METHOD_ROOMS)
    list(APPEND T_ROOMS ${methods})
  endif()
  if("peft_model" IN_LIST T_ROOMS)
    list(APPEND T_ROOMS tokenizers train front)
  endif()
  list(REMOVE_DUPLICATES T_ROOMS)
  foreach(room ${T_ROOMS})
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:peft_${room}>)
  endforeach()
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(${target} PRIVATE PEFT_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                             PEFT_BINARY_DIR="${PROJECT_BINARY_DIR}")
  target_link_libraries(${target} PRIVATE peft_warnings peft_fmt nlohmann_json::nlohmann_json
    PkgConfig::oniguruma PkgConfig::utf8proc GTest::gtest GTest::gmock GTest::gtest_main
    PkgConfig::libcurl PkgConfig::libcrypto csv::csv Threads::Threads ${T_LIBRARIES})
  if(T_TORCH)
    peft_use_torch(${target} WHOLE)
    peft_unite(${target} 4)
  else()
    peft_unite(${target} 8)
  endif()
  if(NOT T_LABELS)
    set(T_LABELS unit)
  endif()
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 300)
  endif()
  # One ctest entry for a program: starting libtorch once a test would take longer than the tests.
  add_test(NAME ${name} COMMAND ${target})
  set_tests_properties(${name} PROPERTIES LABELS "${T_LABELS}" TIMEOUT ${T_TIMEOUT})
endfunction()
