#include "output_thread.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "clock.hpp"

namespace bailando {
namespace {

// The longest sleep before looking at the stop flag again.
constexpr std::int64_t kSliceNs = 20'000'000;
// How often to look for the very first frame, which alone has no deadline known beforehand.
constexpr std::int64_t kIdleNs = 1'000'000;

void add(std::atomic<std::uint64_t>& counter, std::uint64_t amount = 1) noexcept {
    counter.fetch_add(amount, std::memory_order_relaxed);
}

}  // namespace

OutputThread::OutputThread(std::size_t value_count, std::size_t capacity_frames, OutputTiming timing)
    : timing_(timing),
      headers_(capacity_frames),
      values_(capacity_frames * value_count),
      current_(value_count, 0.0F) {
    if (timing.period_ns <= 0) throw std::invalid_argument("the period must be above 0 ns");
}

void OutputThread::add_output(std::vector<PacketTemplate> packets, const std::string& address,
                              std::uint16_t port, std::size_t first_value) {
    if (thread_.joinable()) throw std::runtime_error("stop the output thread before adding an output");
    for (const PacketTemplate& packet : packets) {
        if (first_value + packet.value_count() > current_.size()) {
            throw std::invalid_argument("the packets read beyond the " + std::to_string(current_.size()) +
                                        " values of a frame");
        }
    }
    outputs_.push_back({std::move(packets), UdpSocket(address, port), first_value});
}

void OutputThread::start() {
    if (running()) return;
    stop();  // joins a thread that finished by itself
    running_.store(true, std::memory_order_release);
    try {
        thread_ = std::thread([this] { run(); });
    } catch (...) {
        running_.store(false, std::memory_order_release);
        throw;
    }
}

void OutputThread::stop() noexcept {
    if (!thread_.joinable()) return;
    stopping_.store(true, std::memory_order_release);
    thread_.join();
    // The joined thread's role as the consumer is ours now.
    values_.skip(headers_.skip(headers_.capacity()) * current_.size());
    stopping_.store(false, std::memory_order_relaxed);
    finishing_.store(false, std::memory_order_relaxed);
    begun_ = false;
}

bool OutputThread::push(std::int64_t number, std::int64_t due_ns, const float* values) noexcept {
    if (headers_.writable() == 0 || values_.writable() < current_.size()) {
        add(counters_.queue_full);
        return false;
    }
    values_.write(values, current_.size());
    const Header header{number, due_ns};
    headers_.write(&header, 1);
    return true;
}

void OutputThread::run() noexcept {
    leave_signals_to_others();
    realtime_.store(request_realtime_priority(), std::memory_order_relaxed);
    DeadlineSleeper sleeper;
    while (!stopping_.load(std::memory_order_acquire)) {
        const bool finishing = finishing_.load(std::memory_order_acquire);  // before looking at the queue
        Header header{};
        const bool queued = next(header);
        if (!queued && finishing) break;
        const std::int64_t now = now_ns();
        if (!queued && !begun_) {
            sleeper.until(now + kIdleNs);
            continue;
        }
        // A queued frame takes its turn unless a whole period would pass without any before it.
        const std::int64_t expected = last_.due_ns + timing_.period_ns;
        const bool takes_turn = queued && (!begun_ || header.due_ns <= expected + timing_.period_ns / 2);
        const Header turn = takes_turn ? header : Header{last_.number + 1, expected};
        if (turn.due_ns > now) {
            sleeper.until(std::min(turn.due_ns, now + kSliceNs));
        } else {
            advance(turn, takes_turn);
        }
    }
    running_.store(false, std::memory_order_release);
}

// The oldest queued frame whose number has not been sent yet; it stays queued.
bool OutputThread::next(Header& header) noexcept {
    while (headers_.peek(&header, 1) == 1) {
        if (!begun_ || header.number > last_.number) return true;
        values_.skip(current_.size());
        headers_.skip(1);
        add(counters_.stale);
    }
    return false;
}

void OutputThread::advance(const Header& turn, bool queued) noexcept {
    if (queued) {
        values_.read(current_.data(), current_.size());
        headers_.skip(1);
    } else {
        add(counters_.underruns);
    }
    last_ = turn;
    begun_ = true;
    if (now_ns() - turn.due_ns > timing_.drop_after_ns) {
        add(counters_.dropped);
        return;
    }
    send(turn.number, !queued);
    const std::int64_t lateness_ns = now_ns() - turn.due_ns;
    lateness_.add(lateness_ns);
    if (lateness_ns > timing_.late_after_ns) add(counters_.late);
    add(counters_.frames);
    counters_.last_frame.store(turn.number, std::memory_order_relaxed);
}

void OutputThread::send(std::int64_t number, bool repeated) noexcept {
    for (Output& output : outputs_) {
        for (PacketTemplate& packet : output.packets) {
            const std::size_t withheld = packet.patch(current_.data() + output.first_value, number, repeated);
            if (withheld > 0) add(counters_.non_finite, withheld);
            const SendResult result = output.socket.send(packet.bytes().data(), packet.bytes().size());
            add(result.sent ? counters_.datagrams : counters_.send_errors);
            if (result.refused) add(counters_.refused);
        }
    }
}

}  // namespace bailando
