#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <variant>

#include "conf/config.h"
#include "health/core/gtid_set.h"
#include "health/core/server_report.h"
#include "health/core/time.h"

// Divergence rescue: the transactions that a returned server has and the present primary has not are saved,
// and then taken back, so that the server can follow the primary. Two steps, in this order:
//
//   save()       writes them to a directory of their own under `state_dir`, for people to read;
//   take_back()  undoes them on the server, row by row, or says why a fresh copy is needed.
//
// Both block for seconds to minutes: for a pool thread, never for the loop. No state but the files and the
// server. One call per server at a time is the caller's business; an orphan of a killed daemon is kept out
// by a lock on the server itself. Both are idempotent and may be given again after any crash, of the daemon
// or of the server, with the errant set as the audit sees it then.
//
// What the server must be: read-only, no replication running (receiver and applier stopped or none), so
// that nothing is committed there but by us. save() asks nothing of that, and changes nothing on the server.
// On MySQL nobody at all can write under super_read_only, so for the undo it is off; read_only stays on, and
// only those pass who could always lift both. That nobody did is seen afterwards, under super_read_only, in
// the GTIDs.
//
// Two accounts: the monitor's, and one that may read the binary log, which is what replicas connect with. So
// the monitor's still sees no data. Privileges beyond those in the README:
//   MariaDB  monitor: BINLOG MONITOR (names of the binary logs), BINLOG REPLAY (take_back)
//   MySQL    monitor: BINLOG_ADMIN (take_back); without it a copy is needed
// The replication account must be let in from this host as well.
//
// Why a crash anywhere is harmless. The undo is one InnoDB transaction, written to the server's own binary
// log like any other, with a GTID that is kept for this purpose (marker_domain, marker_uuid). So at each
// moment the server's GTID state says truly what its data are: with the marker, the undo is committed, rows
// and marker together (that is what the server's own two-phase commit is for); without, no row is undone.
// Only then is the binary log thrown away and the state set to what the primary knows:
//
//   died while/before                on the server                      the next call does
//   save: fetching, writing          nothing                            removes the half directory, begins
//   anew save: renamed                    nothing                            finds the directory, returns it
//   undo, not committed              rolled back                        the undo, from the start
//   undo committed, not noted        state has errant + marker          sees the marker, goes on below
//   "undone" noted                   state has errant + marker          goes on below
//   MariaDB: gtid_slave_pos set      the same; a replica starts right   again, harmless
//   binary log reset, state not set  state empty                        sets the state (see unfinished())
//   state set, "done" not noted      as if it had never had them        notes "done"
//
// On MariaDB the last step but one is given to the server as one compound statement, so that only the
// server's own end can come between its two halves, and gtid_slave_pos is right even then. MySQL has no such
// statement, and a replica that starts with an empty state asks for everything: there the whole order, which
// ends with a look at unfinished(), has to be given again before the server is told to follow.
namespace pointsman::rescue {

// What may be used up.
struct Limits {
  core::Duration time = std::chrono::minutes(10);        // of one call
  core::Duration silence = std::chrono::seconds(30);     // of a program that reads from the server
  std::uint64_t saved_bytes = std::uint64_t{4} << 30U;   // binary log and SQL, each
  std::uint64_t spare_bytes = std::uint64_t{64} << 20U;  // what is left free on the file system of state_dir
  // The undo is made in memory and is one transaction; more than this needs a copy.
  std::uint64_t undo_bytes = std::uint64_t{256} << 20U;
};

// What was just reached, for the log; each is a point of the table above.
enum class Stage {
  fetched,
  decoded,
  saved,
  undo_written,
  undo_noted,
  undo_committed,
  undone,
  position_set,  // MariaDB
  emptied,       // MySQL: the binary log, and with it the state
  reset,
  done
};
const char* to_string(Stage stage);

struct Order {
  std::string server;  // its name in the configuration; part of the directory's name
  conf::HostPort address;
  conf::Account account;  // the monitor's
  conf::Account reader;   // with REPLICATION SLAVE: the one that replicas connect with
  core::Flavour flavour = core::Flavour::mariadb;
  core::GtidSet errant;  // what the server has and the primary has not
  core::GtidSet keep;    // what the primary has executed, at or after the time of `errant`
  // Not empty: save() refuses (unsupported) when the server was started again between the last of these that
  // it wrote itself and one of the errant: what it wrote in a later run is somebody else's affair.
  core::GtidSet reign;
  // MariaDB: save() refuses as well when the run that wrote the errant ended by a shutdown.
  bool not_if_shut_down = false;
  std::filesystem::path state_dir;  // exists
  // Program that reads binary logs: a name that PATH has, or an absolute path; "": mariadb-binlog or
  // mysqlbinlog by flavour.
  std::string binlog_program;
  Limits limits;
  std::stop_token stop;  // ends a call early with kind timeout, programs killed; nothing is half done
  std::function<void(Stage)> progress;  // may be empty; called on the calling thread
};

// state_dir/rescue/<server>-<UTC time>/, mode 0700, files 0600:
//   transactions.binlog  exactly the errant transactions, as one binary log file
//   transactions.sql     the same for people: --base64-output=decode-rows -v
//   rescue.json          what it is, and how far take_back() has come
//   undo.sql             after take_back(): what was applied to undo them
struct Saved {
  std::filesystem::path directory;
  core::GtidSet errant;            // as ordered
  std::uint64_t transactions = 0;  // counted in the file
  std::uint64_t bytes = 0;         // of transactions.binlog
};

// The server has them no more, neither the rows nor the GTIDs; it may follow the primary.
struct Undone {
  core::GtidSet executed;  // what it has now
};
// Nothing was changed on the server: it needs a fresh copy of the data. `why` is for the operator: "0-1-104
// changed app.log, which is no InnoDB table".
struct NeedsCopy {
  std::string why;
};
using TakenBack = std::variant<Undone, NeedsCopy>;

// Durable when it returns: files and directories synced. The same transactions that were saved before and not
// taken back since are not saved twice. On failure nothing remains; kinds as in core::FailureKind: the
// server's own; `unsupported` when the program is missing, the binary logs are purged, the disk is too small,
// or the server lacks a privilege (`denied`); `timeout` when it took too long or was stopped.
std::expected<Saved, core::Failure> save(const Order& order);

// Undoes what was saved. Fails with kind `unsupported`, nothing changed, when the server has other errant
// transactions than those saved (save again), is writable, or replicates. A failure after the undo leaves a
// state from which the same call goes on (table above).
std::expected<TakenBack, core::Failure> take_back(const Order& order, const Saved& saved);

// The server was given a fresh copy instead: the saved transactions stay for people to read and are of no
// further concern. Tell it after each NeedsCopy that was followed by a copy, as MariaDB may use the same
// GTIDs again.
std::expected<void, core::Failure> settle(const Saved& saved);

// The rescue of this server that was begun on the server (take_back() came as far as the undo) and not seen
// to its end. Look at start and before a server is told to follow: take_back() must be given again first.
// nullopt: none. Reads the disk.
std::expected<std::optional<Saved>, core::Failure> unfinished(const std::filesystem::path& state_dir,
                                                              const std::string& server);

// The GTID domain of undo transactions on MariaDB, "pmre" in ASCII. No server may use it for anything else.
inline constexpr std::uint32_t marker_domain = 0x706d7265;
// On MySQL the origin of such GTIDs, the UUID of no server: "pmresc" and "undo" in ASCII.
inline constexpr const char* marker_uuid = "706d7265-7363-4000-8000-0000756e646f";

}  // namespace pointsman::rescue
