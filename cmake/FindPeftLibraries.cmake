# The Debian libraries of docs/dependencies.md that the library itself uses.
find_package(nlohmann_json 3.11 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(oniguruma REQUIRED IMPORTED_TARGET oniguruma)
pkg_check_modules(utf8proc REQUIRED IMPORTED_TARGET libutf8proc)
find_package(fmt 9 REQUIRED)
find_package(Threads REQUIRED)
add_library(peft_fmt INTERFACE)
# Header-only and by path order first: torch ships another fmt among its headers.
target_link_libraries(peft_fmt INTERFACE fmt::fmt-header-only)
set(PeftLibraries_FOUND TRUE)
