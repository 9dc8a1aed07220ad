// Command-line flags as the official interop programs take them: --name=value, --name value,
// --name.
#ifndef ROOKERY_TESTS_INTEROP_FLAGS_H_
#define ROOKERY_TESTS_INTEROP_FLAGS_H_

#include <map>
#include <string>

namespace rookery::interop {

class Flags final {
 public:
  Flags(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      std::string flag = argv[i];
      flag.erase(0, flag.find_first_not_of('-'));
      const std::size_t equals = flag.find('=');
      if (equals != std::string::npos) {
        values_[flag.substr(0, equals)] = flag.substr(equals + 1);
      } else if (i + 1 < argc && argv[i + 1][0] != '-') {
        values_[flag] = argv[++i];
      } else {
        values_[flag] = "true";
      }
    }
  }
  [[nodiscard]] std::string Get(const std::string& name, const std::string& otherwise) const {
    const auto found = values_.find(name);
    return found == values_.end() ? otherwise : found->second;
  }
  [[nodiscard]] bool GetBool(const std::string& name) const { return Get(name, "false") == "true"; }

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace rookery::interop

#endif  // ROOKERY_TESTS_INTEROP_FLAGS_H_
