// Opens a plugin and calls it twice: registering with libtorch's dispatcher a second time must do
// nothing, and no symbol of the library may be missing although the host links none of it.
#include <dlfcn.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  void* plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (plugin == nullptr) {
    std::cerr << dlerror() << "\n";
    return 1;
  }
  auto run = reinterpret_cast<int (*)()>(dlsym(plugin, "plugin_run"));
  if (run == nullptr) return 1;
  for (int use = 0; use < 2; ++use) {
    if (run() != 0) {
      std::cerr << "use " << use << " of the plugin failed\n";
      return 1;
    }
  }
  return 0;
}
