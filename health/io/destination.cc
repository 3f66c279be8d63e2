#include "health/io/destination.h"

#include <utility>

namespace pointsman::io {

Destination::Destination(Loop& loop, conf::HostPort where,
                         std::function<void(const std::string& why)> on_unknown)
    : where_(std::move(where)),
      on_unknown_(std::move(on_unknown)),
      resolver_(loop,
                [this](Resolver::Result result) {
                  again_.start_after(result ? refresh : retry);
                  if (result) {
                    addresses_ = {result->front()};
                  } else if (on_unknown_) {
                    on_unknown_(result.error());
                  }
                }),
      again_(loop, [this] { resolver_.start(where_); }) {
  if (const auto numeric = Address::numeric(where_)) {
    addresses_ = {*numeric};
  } else {
    again_.start_after({});
  }
}

}  // namespace pointsman::io
