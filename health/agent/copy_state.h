#pragma once

#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace pointsman::agent {

// How far a copy has come that replaces the local server's data, as it is found again after a crash of the
// agent or of the host.
struct CopyState {
  enum class Stage {
    filling,   // the copy is made beside the data, which are in use
    swapping,  // the server is stopped, data and copy change places, it is started: all of it is taken back
    keeping,   // the copy is good: the old data go
  };
  Stage stage = Stage::filling;
  std::string data;  // the server's data folder
  bool operator==(const CopyState&) const = default;
};
const char* to_string(CopyState::Stage stage);

// The state in a file, replaced as a whole and on disk when a call returns. One thread at a time.
class CopyStateFile {
 public:
  explicit CopyStateFile(std::string directory);  // made when it is missing

  // nullopt: nothing is under way. Error: it cannot be read, or is damaged.
  std::expected<std::optional<CopyState>, std::string> load() const;
  std::expected<void, std::string> save(const CopyState& state) const;
  std::expected<void, std::string> remove() const;

  const std::string& path() const { return path_; }

 private:
  std::string directory_;
  std::string path_;
};

std::string copy_state_text(const CopyState& state);
std::expected<CopyState, std::string> parse_copy_state(std::string_view text);

// The data folder and what stands beside it while a copy takes its place. All on one file system, so that
// each step is one rename, which happens or does not.
//
//            data     .pointsman-new   .pointsman-old
//   filling  old      copy             -
//            -        copy             old              for a moment
//   swapped  copy     -                old
class CopyFolders {
 public:
  explicit CopyFolders(std::filesystem::path data);

  const std::filesystem::path& data() const { return data_; }
  const std::filesystem::path& fresh() const { return fresh_; }
  const std::filesystem::path& old() const { return old_; }

  // Why nothing can be made beside the data folder and renamed into its place; "": it can.
  std::string why_not() const;
  std::expected<void, std::string> swap() const;
  // Something of swap() was done.
  bool swapped() const;
  // Whatever swap() did, also half of it, is undone; nothing to do is fine. The copy is in fresh() then.
  std::expected<void, std::string> swap_back() const;

  static constexpr const char* fresh_suffix = ".pointsman-new";
  static constexpr const char* old_suffix = ".pointsman-old";

 private:
  std::filesystem::path data_;
  std::filesystem::path fresh_;
  std::filesystem::path old_;
};

// With all that is in it; that it is not there is fine. Links are not followed.
std::expected<void, std::string> remove_folder(const std::filesystem::path& folder);

}  // namespace pointsman::agent
