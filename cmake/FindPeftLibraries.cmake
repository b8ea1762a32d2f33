# The Debian libraries of docs/dependencies.md that the library itself uses.
find_package(nlohmann_json 3.11 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(oniguruma REQUIRED IMPORTED_TARGET oniguruma)
pkg_check_modules(utf8proc REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(libcurl REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(libcrypto REQUIRED IMPORTED_TARGET libcrypto)
# libcsv comes without a description of itself.
find_path(PeftLibraries_CSV_INCLUDE csv.h REQUIRED)
find_library(PeftLibraries_CSV csv REQUIRED)
if(NOT TARGET csv::csv)
  add_library(csv::csv UNKNOWN IMPORTED)
  set_target_properties(csv::csv PROPERTIES IMPORTED_LOCATION ${PeftLibraries_CSV}
                        INTERFACE_INCLUDE_DIRECTORIES ${PeftLibraries_CSV_INCLUDE})
endif()
find_package(fmt 9 REQUIRED)
find_package(Threads REQUIRED)
add_library(peft_fmt INTERFACE)
# Header-only and by path order first: torch ships another fmt among its headers.
target_link_libraries(peft_fmt INTERFACE fmt::fmt-header-only)
set(PeftLibraries_FOUND TRUE)
