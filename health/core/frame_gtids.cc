#include "health/core/frame_gtids.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace pointsman::core {

namespace {

FrameGtid mariadb_gtid(const std::string& origin, std::uint64_t last) {
  const auto dash = origin.find('-');
  MariaDbGtid gtid;
  gtid.sequence = last;
  std::from_chars(origin.data(), origin.data() + dash, gtid.domain);
  std::from_chars(origin.data() + dash + 1, origin.data() + origin.size(), gtid.server);
  return gtid;
}

// nullopt: with a tag.
std::optional<FrameGtid> mysql_gtid(const std::string& origin, std::uint64_t last) {
  MySqlGtid gtid;
  gtid.number = last;
  std::string digits;
  std::ranges::copy_if(origin, std::back_inserter(digits), [](char c) { return c != '-'; });
  if (digits.size() != 2 * gtid.uuid.size()) return std::nullopt;
  for (std::size_t i = 0; i < gtid.uuid.size(); ++i)
    std::from_chars(digits.data() + 2 * i, digits.data() + 2 * i + 2, gtid.uuid[i], 16);
  return gtid;
}

}  // namespace

std::vector<FrameGtid> own_gtids(const ServerReport& report) {
  std::vector<FrameGtid> list;
  for (const auto& [origin, last] : report.executed.newest()) {
    if (list.size() == max_frame_gtids) break;
    if (report.flavour == Flavour::mariadb) {
      const FrameGtid gtid = mariadb_gtid(origin, last);
      if (std::get<MariaDbGtid>(gtid).server == report.server_id) list.push_back(gtid);
    } else if (origin == report.server_uuid) {
      if (const auto gtid = mysql_gtid(origin, last)) list.push_back(*gtid);
    }
  }
  return list;
}

std::vector<FrameGtid> received_gtids(const ServerReport& report) {
  std::vector<FrameGtid> list;
  if (!report.replica) return list;
  const GtidSet all = report.executed.united(report.replica->received);
  const bool mariadb = report.flavour == Flavour::mariadb;
  for (const auto& [origin, last] : mariadb ? report.replica->received.newest() : all.newest()) {
    if (list.size() == max_frame_gtids) break;
    if (mariadb) {
      list.push_back(mariadb_gtid(origin, last));
    } else if (origin == report.replica->source_uuid) {
      const auto gtid = mysql_gtid(origin, last);
      // A frame can only say that all up to this one is there.
      if (gtid && all.contains(gtids_of({*gtid}))) list.push_back(*gtid);
    }
  }
  return list;
}

namespace {

std::string text_of(const MariaDbGtid& gtid) {
  return std::to_string(gtid.domain) + "-" + std::to_string(gtid.server) + "-" +
         std::to_string(gtid.sequence);
}

std::string text_of(const MySqlGtid& gtid) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < gtid.uuid.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += digits[gtid.uuid[i] >> 4U];
    text += digits[gtid.uuid[i] & 15U];
  }
  return text + ":1-" + std::to_string(gtid.number);
}

}  // namespace

GtidSet gtids_of(const std::vector<FrameGtid>& gtids) {
  GtidSet all;
  for (const auto& gtid : gtids) {
    const auto flavour = std::holds_alternative<MariaDbGtid>(gtid) ? Flavour::mariadb : Flavour::mysql;
    const auto set = GtidSet::parse(flavour, std::visit([](const auto& g) { return text_of(g); }, gtid));
    if (set) all = all.united(*set);
  }
  return all;
}

}  // namespace pointsman::core
