#include "proxy/cli/manual.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

namespace pointsman::proxy::cli {
namespace {

constexpr std::string_view looking = "See how it is";
constexpr std::string_view acting = "Change something";
constexpr std::string_view running = "The daemon";

constexpr std::array all{
    Manual{Command::status, "status", looking, "[--watch] [--json]",
           "who is primary, verdicts, links, replication, sessions, warnings",
           R"(Shows on one screen who is primary and since when, how each server is and why,
how replication runs, how many clients are connected, and what should worry
you. When there is no primary, the first lines say why and what to type next.
With --watch it is redrawn each second until Ctrl-C or q; in a pipe, a block
is printed whenever something changes.

Clients notice nothing.)",
           R"(pointsman status
pointsman status --watch
pointsman status --json | jq -r .primary)"},
    Manual{Command::explain, "explain", looking, "[--json]", "what would happen if the primary died now",
           R"(Says which server would be promoted if the primary died at this moment and why
no other one, what could be lost, how long it would take, and everything that
would prevent it. Ask this before maintenance, and when `status` warns.

Clients notice nothing.)",
           "pointsman explain"},
    Manual{Command::events, "events", looking, "[-n N] [--follow] [--json]",
           "history: failovers with the time of each step, verdicts, rejoins",
           R"(Shows the latest events, oldest first, times in UTC: changes of primary with
the time that each step took and what was lost, verdicts, rejoins, orders of
operators. With --follow new ones are shown as they happen, until Ctrl-C.
With --json each event is one object on one line.

Clients notice nothing.)",
           R"(pointsman events -n 5
pointsman events --follow)"},
    Manual{Command::sessions, "sessions", looking, "[-n N] [--json]", "client sessions",
           R"(Lists the clients that are connected: where from, to which server, since when
and how much was sent each way. A held client waits for a primary.

Clients notice nothing.)",
           "pointsman sessions -n 50"},
    Manual{Command::verify, "verify", looking, "[--user USER --password-file FILE] [-c FILE] [--json]",
           "compares the rows of all servers by checksums",
           R"(Reads all user tables of the primary and of each replica, in chunks of a few
thousand rows, and compares their checksums, each chunk at one GTID position.
Writes and replication go on meanwhile. It says which table of which server
differs, and where in it; the exit status is 1 then, and also when something
could not be compared, as with a replica that is too far behind.

It talks to the servers itself and only reads, with the monitor account or with
--user; the account needs SELECT ON *.*. No daemon has to run. Sequences, and
the system's own schemas, are left out.

Clients notice the load of reading. Rows that change all the time may be locked
for writing for the moment that a replica needs to catch up, 2 s at most.)",
           R"(pointsman verify
pointsman verify --user checker --password-file /root/checker.password
pointsman verify --json | jq .differences)"},
    Manual{Command::switchover, "switchover", acting,
           "[--to NAME] [--dry-run] [--max-wait DURATION]\n"
           "         [--end-transactions] [--json]",
           "makes another server the primary, as planned",
           R"(Moves the primary's role to a healthy replica without losing a transaction.
Everything is checked first, and nothing is changed if it cannot work. Then
writes stop on the old primary, the new one catches up with the last of them
and is opened, and the old one replicates from it. If a step before the
promotion fails, the old primary goes on. Without --to, the replica of the
highest priority that is ready is taken. One that is never to be promoted
(never_promote) is refused, also by name: `failover --force` does that.
--dry-run prints the steps and what speaks against them.

What is in the way is waited for while the clients are served, for --max-wait
at most (10s; 0s: not at all): transactions and statements that are 2 s old,
LOCK TABLES, the lock of a backup, a replica that lags. Then the switchover is
given up with their names, or, with --end-transactions, the sessions of those
transactions, statements and table locks are ended. A backup is never ended.

Clients: sessions to the old primary end and new ones wait, usually for less
than 100 ms; applications reconnect to the same address. What a shorter
transaction has not committed by then is rolled back.)",
           R"(pointsman switchover --dry-run
pointsman switchover --to dbserv2
pointsman switchover --to dbserv2 --max-wait 2m --end-transactions)"},
    Manual{Command::failover, "failover", acting, "[--to NAME] [--force] [--json]",
           "replaces a primary that is lost, by hand",
           R"(Makes a replica the primary when the old one is gone or must be given up, and
automatic failover did not do it: because it is off, because there were too
many, or because something vetoed it (`pointsman explain` says what). The old
primary is fenced first. --force goes on where transactions may be lost, and
says which; with --to it also promotes a server that is never to be promoted.
While the old primary works, use switchover: it loses nothing.

Clients: sessions to the old primary end; new ones wait until the new one is
open.)",
           R"(pointsman failover --to dbserv2
pointsman failover --to dbserv2 --force)"},
    Manual{Command::rejoin, "rejoin", acting, "NAME [--discard] [--json]", "takes a server back as a replica",
           R"(Makes the named server read-only and lets it replicate from the primary. A
server that returns after a failover is taken back by itself; this is for one
that is quarantined because it has transactions of its own, or that is out for
another reason, or that replicates from another replica. `pointsman status`
lists the transactions that it has alone: look at them first. With --discard
they are saved as a binary log and as SQL under rescue/ in proxy.state_dir,
and then taken back: undone row by row where that is possible, otherwise by a
fresh copy of the primary's data.

Clients notice nothing: the server served none.)",
           R"(pointsman rejoin dbserv1
pointsman rejoin dbserv1 --discard)"},
    Manual{Command::maintenance, "maintenance", acting, "NAME on|off [--json]",
           "a server that is neither promoted nor complained about",
           R"(While a server is in maintenance it is not promoted, and its being down is not
reported. Put a replica into maintenance before you stop it. Maintenance
of the primary forbids automatic failover; switch over first.

Clients notice nothing: the primary keeps serving.)",
           R"(pointsman maintenance dbserv2 on
pointsman maintenance dbserv2 off)"},
    Manual{Command::automatic, "automatic", acting, "on|off [--json]",
           "switches automatic failover on or off",
           R"(With `off`, a lost primary is reported and not replaced until you say so with
`pointsman failover`. It stays so until `on`, also over a restart.

Clients notice nothing until the primary dies; then they wait for you.)",
           R"(pointsman automatic off
pointsman automatic on)"},
    Manual{Command::pause, "pause", acting, "[--json]", "holds new clients",
           R"(New connections are accepted and held until `pointsman resume`, at most for
proxy.hold_timeout each; then they get an error that says why.

Clients: those that are connected go on; new ones wait.)",
           "pointsman pause"},
    Manual{Command::resume, "resume", acting, "[--json]", "lets the held clients go on",
           R"(Ends `pointsman pause`. Held clients are connected to the primary at
proxy.release_rate, not all at once.

Clients: those that were held go on.)",
           "pointsman resume"},
    Manual{Command::reload, "reload", acting, "[--json]", "reads the configuration again",
           R"(The daemon reads its configuration file again. If there is anything wrong in
it, or an address cannot be listened on, the old configuration stays in force
and the reason is shown. Check it first with `pointsman check`. For what the
daemon cannot change in itself, other backends among it, it starts its program
again to take its place, as `pointsman run --takeover` does; the command waits
until that one serves, and fails when it does not: the old one then goes on
with what counted at once. What takes a restart is named in the answer. SIGHUP
does the same but for the new process.

Clients notice nothing: no session is dropped.)",
           R"(pointsman check -c /etc/pointsman/pointsman.toml && pointsman reload)"},
    Manual{Command::drain, "drain", acting, "[--timeout DURATION] [--json]",
           "stops the daemon when its last session has ended",
           R"(The daemon takes no more clients, serves those that it has to their end, and
ends when the last one has left, or when --timeout (proxy.drain_timeout) is
over. Until then it goes on as ever: it watches the servers and fails over. The
command returns at once; `pointsman status` says how many sessions are left.
For an upgrade it is not needed: see `pointsman run --takeover`.

Clients: new ones are refused. Those that wait for a primary go on waiting as
long as they would have. Sessions that are left at the end are ended.)",
           R"(pointsman drain
pointsman drain --timeout 5m)"},
    Manual{Command::run, "run", running, "[--takeover] [-c FILE]", "runs the daemon, in the foreground",
           R"(Reads the configuration, takes the service address and watches the servers until
SIGTERM or SIGINT. SIGHUP opens the log file anew and reads the configuration
again, for what the process can change in itself. Under systemd (Type=notify) it
says when it is ready. If the configuration is wrong it says where, and does not
start.

With --takeover it takes the place of the daemon that runs with the same
proxy.state_dir, as after an upgrade: it gets that one's sockets and goes on
with the cluster where it stood. The former process serves its sessions to their
end, or for proxy.drain_timeout. SIGUSR2 to the running daemon starts its
program so, and `pointsman reload` where it is needed. If the new one cannot
start, the old one goes on as before.

Clients notice nothing of a takeover: none is refused, no session ends.)",
           R"(pointsman run -c /etc/pointsman/pointsman.toml
systemctl kill -s USR2 --kill-whom=main pointsman)"},
    Manual{Command::setup, "setup", running,
           "[--dry-run] [--primary NAME] [--overwrite NAME]...\n"
           "         [--admin-user USER] [--admin-password-file FILE]\n"
           "         [--admin-socket NAME=PATH]... [-c FILE] [--json]",
           "makes replication from bare servers, and proves it",
           R"(Takes the servers of the configuration from wherever they are to replication:
looks at their settings and says all at once what to change in which my.cnf;
makes the monitor and the replication account, with the passwords of the
configuration; copies the primary's data to each server that has none; starts
replication by GTID; writes a row on the primary and reads it on each replica.
What is done already is left as it is: replication that runs is not touched,
and after a failure or Ctrl-C the same command goes on from what it finds.

The primary is the daemon's if one runs, else the server that others replicate
from, else the one that has data, else the first of the configuration; or
--primary NAME. A server that has data of its own is not overwritten without
--overwrite NAME. --dry-run prints every statement.

It talks to the servers itself, as an administrator: --admin-user, by the
addresses of the configuration or, on this host, by --admin-socket. MariaDB's
data are copied by mariadb-backup, where `pointsman-agent copies` runs on both
hosts and can do it, else by mariadb-dump and mariadb (package mariadb-client)
on this host; it says which, and why. MySQL's are copied by the clone plugin
from server to server; that server restarts, or stops and has to be started,
when it has the copy. A daemon may run; the servers that get a copy are in
maintenance meanwhile.

Clients: a server that becomes a replica is made read-only, and its sessions
end. Those of the primary notice nothing.)",
           R"(pointsman setup --dry-run
pointsman setup --admin-password-file /root/admin.password
pointsman setup --primary dbserv1 --overwrite dbserv2)"},
    Manual{Command::check, "check", running, "[-c FILE] [--json]", "validates a configuration file",
           R"(Reads the file and every file that it names, and reports all problems with their
line and column. When there are none, it shows what the configuration means
and what could be better. It talks to no daemon and to no server.)",
           "pointsman check -c /etc/pointsman/pointsman.toml"},
    Manual{Command::keygen, "keygen", running, "FILE [--rotate | --add]", "makes keys for the heartbeats",
           R"(Writes a new file (mode 0600) with one random key, by which the hosts of the
cluster know each other's heartbeats. A file that exists is never overwritten.
Copy it to every host, as the file that heartbeat.authkeys names there.

To change the key without a gap, which could look like a death: --add a key,
copy the file to every host and reload there; every host now accepts both.
Then change the number after `auth` to the new one, and copy and reload again.
Where a gap does not matter, --rotate adds a key and signs with it at once.
Remove the old key from all files when no host signs with it any more.

With - as FILE the new file goes to standard output. It talks to no daemon.)",
           R"(pointsman keygen /etc/pointsman/authkeys
pointsman keygen /etc/pointsman/authkeys --add)"},
    Manual{Command::import_heartbeat, "import-heartbeat", running,
           "--ha-cf FILE --haresources FILE --authkeys FILE\n         [--output-dir DIR] [--force] [--json]",
           "makes a configuration from a Heartbeat installation",
           R"(Reads the three files of a Linux-HA Heartbeat installation and writes
DIR/pointsman.toml, for the host of the proxy, and for each database host
DIR/NODE/agent.toml. The address that Heartbeat moved becomes proxy.listen, its
nodes the servers, its media the links, its times Pointsman's. What has no
counterpart is listed, with what to do instead.

Files that exist are left alone without --force. It talks to no daemon and to
no server.)",
           R"(pointsman import-heartbeat --ha-cf /etc/ha.d/ha.cf \
  --haresources /etc/ha.d/haresources --authkeys /etc/ha.d/authkeys \
  --output-dir /tmp/pointsman)"},
};

// Levenshtein's.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0U);
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = std::exchange(row[j + 1], std::min({replaced, row[j] + 1, row[j + 1] + 1}));
    }
  }
  return row.back();
}

}  // namespace

std::span<const Manual> manuals() {
  return all;
}

const Manual* find_manual(std::string_view name) {
  const auto* found = std::ranges::find(all, name, &Manual::name);
  return found == all.end() ? nullptr : found;
}

std::optional<std::string_view> similar_command(std::string_view name) {
  constexpr std::size_t longest = 32;  // what is longer is no typing error
  if (name.size() > longest) return std::nullopt;
  const auto* best =
      std::ranges::min_element(all, {}, [name](const Manual& m) { return distance(name, m.name); });
  return distance(name, best->name) <= 2 ? std::optional(best->name) : std::nullopt;
}

}  // namespace pointsman::proxy::cli
