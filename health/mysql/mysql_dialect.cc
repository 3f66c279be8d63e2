#include "health/mysql/dialect.h"
namespace pointsman::mysql {
std::unique_ptr<Dialect> make_mysql_dialect(unsigned) {
  return nullptr;
}
}  // namespace pointsman::mysql
