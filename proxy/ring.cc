#include "proxy/ring.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <tuple>
#include <utility>

#include <unistd.h>

#include "proxy/sockets.h"

namespace pointsman::proxy {

namespace {

constexpr unsigned submission_entries = 512;
// More than one turn brings; what finds no place waits in the kernel. The size of the table in which the
// kernel looks for what is to be cancelled goes by it, too.
constexpr unsigned completion_entries = 8192;
// Those of a turn: they are back with the next.
constexpr unsigned small_buffers = 256;
constexpr unsigned large_buffers = 16;
// Buffers that began at one place of their pages would share few lines of the processor's caches.
constexpr std::size_t spacing = 320;
constexpr std::size_t page = 4096;
constexpr std::size_t batch = 64;

// Of what nobody waits for.
constexpr std::uint64_t no_ticket = Ring::none;

std::size_t pages(std::size_t bytes) {
  return (bytes + page - 1) / page * page;
}

}  // namespace

std::expected<void, std::string> Ring::Buffers::lend(io_uring& ring, std::uint16_t group, unsigned count,
                                                     std::size_t size) {
  group_ = group;
  size_ = size;
  stride_ = size + spacing;
  uses_.resize(count);
  const std::size_t ring_bytes = pages(count * sizeof(io_uring_buf));
  ring_.reset(static_cast<io_uring_buf_ring*>(std::aligned_alloc(page, ring_bytes)));
  memory_.reset(static_cast<char*>(std::aligned_alloc(page, pages(stride_ * count))));
  if (!ring_ || !memory_) return std::unexpected("no memory");
  std::memset(static_cast<void*>(ring_.get()), 0, ring_bytes);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(ring_.get());
  registration.ring_entries = count;
  registration.bgid = group;
  if (const int error = io_uring_register_buf_ring(&ring, &registration, 0); error != 0)
    return std::unexpected("buffers: " + system_says(-error));
  for (unsigned number = 0; number < count; ++number) give(number);
  return {};
}

void Ring::Buffers::give(unsigned number) {
  const int mask = io_uring_buf_ring_mask(static_cast<unsigned>(uses_.size()));
  io_uring_buf_ring_add(ring_.get(), at(number), static_cast<unsigned>(size_),
                        static_cast<std::uint16_t>(number), mask, 0);
  io_uring_buf_ring_advance(ring_.get(), 1);
}

std::span<const char> Ring::Buffers::filled(unsigned number, std::size_t bytes) const {
  return {at(number), bytes};
}

int Ring::Buffers::holding(std::span<const char> bytes) const {
  // Pointers into different objects are compared: by std::less, which has an order for them.
  const std::less<const char*> before;
  if (before(bytes.data(), at(0)) || !before(bytes.data(), at(static_cast<unsigned>(uses_.size()))))
    return -1;
  return static_cast<int>(static_cast<std::size_t>(bytes.data() - at(0)) / stride_);
}

void Ring::Buffers::leave(unsigned number) {
  if (--uses_[number] == 0) give(number);
}

std::expected<std::unique_ptr<Ring>, std::string> Ring::create() {
  std::unique_ptr<Ring> ring(new Ring);
  io_uring_params params{};
  // Completions are looked for when the worker asks for them, instead of interrupting it.
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE;
  params.cq_entries = completion_entries;
  if (const int error = io_uring_queue_init_params(submission_entries, &ring->ring_, &params); error != 0)
    return std::unexpected("io_uring: " + system_says(-error));
  ring->made_ = true;
  io_uring_register_ring_fd(&ring->ring_);  // spares a look-up in each call; without it everything works, too
  for (auto [buffers, group, count, size] : {std::tuple(&ring->small_, 0, small_buffers, small_chunk),
                                             std::tuple(&ring->large_, 1, large_buffers, large_chunk)}) {
    const auto lent = buffers->lend(ring->ring_, static_cast<std::uint16_t>(group), count, size);
    if (!lent) return std::unexpected("io_uring: " + lent.error());
  }
  return ring;
}

Ring::~Ring() {
  if (!made_) return;
  submit();
  io_uring_queue_exit(&ring_);
}

io_uring_sqe& Ring::entry() {
  io_uring_sqe* free = io_uring_get_sqe(&ring_);
  while (free == nullptr) {
    submit();
    free = io_uring_get_sqe(&ring_);
  }
  return *free;
}

Ring::Ticket Ring::begin(User& user, Kind kind) {
  if (free_operations_.empty()) {
    free_operations_.push_back(static_cast<Ticket>(operations_.size()));
    operations_.emplace_back();
  }
  const Ticket ticket = free_operations_.back();
  free_operations_.pop_back();
  operations_[ticket] = {.user = &user, .at = 0, .kind = kind};
  return ticket;
}

std::uint32_t Ring::keep(Payload payload) {
  if (free_payloads_.empty()) {
    free_payloads_.push_back(static_cast<std::uint32_t>(payloads_.size()));
    payloads_.emplace_back();
  }
  const std::uint32_t at = free_payloads_.back();
  free_payloads_.pop_back();
  payloads_[at] = std::move(payload);
  return at;
}

Ring::Ticket Ring::poll(User& user, int fd, unsigned events) {
  const Ticket ticket = begin(user, Kind::poll);
  io_uring_sqe& sqe = entry();
  io_uring_prep_poll_add(&sqe, fd, events);
  io_uring_sqe_set_data64(&sqe, ticket);
  return ticket;
}

Ring::Ticket Ring::connect(User& user, int fd, const sockaddr* address, socklen_t length) {
  const Ticket ticket = begin(user, Kind::connect);
  const char* const bytes = reinterpret_cast<const char*>(address);
  const std::uint32_t at = keep({.bytes = {}, .own = {bytes, bytes + length}});
  operations_[ticket].at = at;
  io_uring_sqe& sqe = entry();
  io_uring_prep_connect(&sqe, fd, reinterpret_cast<const sockaddr*>(payloads_[at].own.data()), length);
  io_uring_sqe_set_data64(&sqe, ticket);
  return ticket;
}

Ring::Ticket Ring::receive(User& user, int fd, Chunk chunk) {
  const Ticket ticket = begin(user, Kind::receive);
  const Buffers& buffers = chunk == Chunk::large ? large_ : small_;
  operations_[ticket].at = buffers.group();
  io_uring_sqe& sqe = entry();
  io_uring_prep_recv(&sqe, fd, nullptr, buffers.size(), 0);
  // The kernel keeps a queue of those that are ready; a try within the submission would jump it.
  sqe.ioprio |= IORING_RECVSEND_POLL_FIRST;
  sqe.flags |= IOSQE_BUFFER_SELECT;
  sqe.buf_group = buffers.group();
  io_uring_sqe_set_data64(&sqe, ticket);
  return ticket;
}

Ring::Ticket Ring::send(User& user, int fd, std::span<const char> bytes) {
  Payload payload{.bytes = bytes, .own = {}};
  for (Buffers* buffers : {&small_, &large_}) {
    const int number = buffers->holding(bytes);
    if (number < 0) continue;
    payload.from = buffers;
    payload.buffer = static_cast<unsigned>(number);
    buffers->use(payload.buffer);
  }
  if (payload.from == nullptr) {
    payload.own.assign(bytes.begin(), bytes.end());
    payload.bytes = payload.own;
  }
  const std::span<const char> kept = payload.bytes;
  const Ticket ticket = begin(user, Kind::send);
  operations_[ticket].at = keep(std::move(payload));
  io_uring_sqe& sqe = entry();
  // Carried out within the call that hands it over, whatever comes of it. It is answered by the kernel only
  // if not all was taken, which MSG_WAITALL makes a failure.
  io_uring_prep_send(&sqe, fd, kept.data(), kept.size(), MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL);
  sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
  io_uring_sqe_set_data64(&sqe, ticket);
  handing_.push_back(ticket);
  return ticket;
}

Ring::Ticket Ring::send_all(User& user, int fd, std::vector<char> bytes) {
  Payload payload{.bytes = bytes, .own = std::move(bytes)};
  const std::span<const char> kept = payload.bytes;
  const Ticket ticket = begin(user, Kind::send_all);
  operations_[ticket].at = keep(std::move(payload));
  io_uring_sqe& sqe = entry();
  io_uring_prep_send(&sqe, fd, kept.data(), kept.size(), MSG_NOSIGNAL | MSG_WAITALL);
  io_uring_sqe_set_data64(&sqe, ticket);
  return ticket;
}

void Ring::give_up(Ticket ticket) {
  if (ticket == none) return;
  operations_[ticket].user = nullptr;
  if (operations_[ticket].kind == Kind::send) return;
  io_uring_sqe& sqe = entry();
  io_uring_prep_cancel64(&sqe, ticket, 0);
  sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
  io_uring_sqe_set_data64(&sqe, no_ticket);
}

void Ring::close(int fd) {
#ifdef __SANITIZE_THREAD__
  // It keeps account of descriptors, and what the kernel closes for us escapes it.
  submit();
  ::close(fd);
  return;
#endif
  io_uring_sqe& sqe = entry();
  io_uring_prep_close(&sqe, fd);
  sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
  io_uring_sqe_set_data64(&sqe, no_ticket);
}

void Ring::submit() {
  enter(0);
}

void Ring::wait(int timeout_ms) {
  enter(std::exchange(hurried_, false) ? 0 : timeout_ms);
}

void Ring::enter(int timeout_ms) {
  int result = 0;
  if (timeout_ms == 0) {
    result = io_uring_submit_and_get_events(&ring_);
  } else if (timeout_ms < 0) {
    result = io_uring_submit_and_wait(&ring_, 1);
  } else {
    __kernel_timespec timeout{.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1'000'000LL};
    io_uring_cqe* first = nullptr;
    result = io_uring_submit_and_wait_timeout(&ring_, &first, 1, &timeout, nullptr);
  }
  // The kernel had no memory for an answer, and nobody will learn whose: sessions would hang, so none goes
  // on.
  if (result == -EBADR) std::abort();
  // Short of memory the kernel leaves some for the next call.
  if (io_uring_sq_ready(&ring_) > 0) return hurry();
  carried_out_.insert(carried_out_.end(), handing_.begin(), handing_.end());
  handing_.clear();
}

void Ring::hand_out() {
  // Of later ones a failure may not be among these answers.
  succeeded_.clear();
  succeeded_.swap(carried_out_);
  answers_.clear();
  std::array<io_uring_cqe*, batch> completed{};
  while (const unsigned count = io_uring_peek_batch_cqe(&ring_, completed.data(), batch)) {
    for (unsigned i = 0; i < count; ++i)
      answers_.push_back(
          {static_cast<Ticket>(completed[i]->user_data), completed[i]->res, completed[i]->flags});
    io_uring_cq_advance(&ring_, count);
  }
  // What became of the sends first: then a stream has the next chunk to send when the one before is gone.
  for (Answer& answer : answers_) {
    if (answer.ticket == none || operations_[answer.ticket].kind != Kind::send) continue;
    const Ticket ticket = std::exchange(answer.ticket, none);  // which may be another's soon
    std::erase(succeeded_, ticket);
    std::erase(handing_, ticket);
    sent(finish(ticket), answer.result);
  }
  // No answer has come to these, and none will.
  for (const Ticket ticket : succeeded_) {
    const Operation done = finish(ticket);
    sent(done, static_cast<int>(payloads_[done.at].bytes.size()));
  }
  // Who got no buffer asks again first, and so gets one before those that had theirs.
  for (Answer& answer : answers_) {
    if (answer.ticket == none || answer.result != -ENOBUFS) continue;
    const Answer told = answer;
    answer.ticket = none;
    tell(told);
  }
  for (const Answer& answer : answers_) {
    if (answer.ticket != none) tell(answer);
  }
}

Ring::Operation Ring::finish(Ticket ticket) {
  free_operations_.push_back(ticket);
  return operations_[ticket];
}

void Ring::tell(const Answer& answer) {
  const Operation done = finish(answer.ticket);
  switch (done.kind) {
    case Kind::poll:
      if (done.user != nullptr) done.user->on_polled();
      return;
    case Kind::connect:
      free_payloads_.push_back(done.at);
      if (done.user != nullptr) done.user->on_connect_done(answer.result);
      return;
    case Kind::receive:
      return received(done, answer);
    case Kind::send:
    case Kind::send_all:
      return sent(done, answer.result);
  }
}

void Ring::received(const Operation& done, const Answer& answer) {
  const bool more = (answer.flags & IORING_CQE_F_SOCK_NONEMPTY) != 0;
  if ((answer.flags & IORING_CQE_F_BUFFER) == 0) {
    if (done.user != nullptr) done.user->on_received(answer.result, {}, more);
    return;
  }
  Buffers& buffers = done.at == large_.group() ? large_ : small_;
  const unsigned number = answer.flags >> IORING_CQE_BUFFER_SHIFT;
  buffers.use(number);
  const auto bytes = buffers.filled(number, static_cast<std::size_t>(std::max(answer.result, 0)));
  if (done.user != nullptr) done.user->on_received(answer.result, bytes, more);
  buffers.leave(number);
}

void Ring::sent(const Operation& done, int result) {
  // Out of the table, which grows while the user asks for more.
  const Payload payload = std::exchange(payloads_[done.at], {});
  free_payloads_.push_back(done.at);
  if (done.user != nullptr) done.user->on_sent(result, payload.bytes);
  if (payload.from != nullptr) payload.from->leave(payload.buffer);
}

}  // namespace pointsman::proxy
