// The thread that sends frames at their deadlines, whatever happens upstream.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "lateness.hpp"
#include "packet_template.hpp"
#include "spsc_ring.hpp"
#include "udp_socket.hpp"

namespace bailando {

struct OutputTiming {
    std::int64_t period_ns;      // between two frames
    std::int64_t late_after_ns;  // a frame sent later than this counts as late
    std::int64_t drop_after_ns;  // a frame later than this is not sent: receivers drop bursts
};

struct OutputCounters {
    std::atomic<std::uint64_t> frames{0};         // sent at their turn, repeated ones included
    std::atomic<std::uint64_t> datagrams{0};      // taken by the system
    std::atomic<std::uint64_t> send_errors{0};    // datagrams the system did not take
    std::atomic<std::uint64_t> refused{0};        // answers that nobody listens
    std::atomic<std::uint64_t> late{0};           // frames sent after late_after_ns
    std::atomic<std::uint64_t> underruns{0};      // frames repeated because none was queued
    std::atomic<std::uint64_t> stale{0};          // queued frames whose number was sent already
    std::atomic<std::uint64_t> dropped{0};        // frames not sent because of drop_after_ns
    std::atomic<std::uint64_t> queue_full{0};     // frames the queue did not take
    std::atomic<std::uint64_t> non_finite{0};     // numbers withheld because they were not finite
    std::atomic<std::int64_t> last_frame{-1};     // number of the last frame sent
};

// Frames carry a number and a due time. The thread sends each at its due time. If none is queued when
// the next is due (one period after the last), it repeats the last frame's numbers under the next
// frame number, pulses zeroed; a frame that comes after its number has gone out is thrown away. So one
// frame leaves per period and numbers only grow.
class OutputThread {
   public:
    // Any thread. `value_count` floats make a frame.
    OutputThread(std::size_t value_count, std::size_t capacity_frames, OutputTiming timing);
    ~OutputThread() { stop(); }
    OutputThread(const OutputThread&) = delete;
    OutputThread& operator=(const OutputThread&) = delete;

    // Owner's thread, while not running. The templates read the frame's values from `first_value` on.
    // Throws std::invalid_argument, and std::runtime_error if the address cannot be sent to.
    void add_output(std::vector<PacketTemplate> packets, const std::string& address, std::uint16_t port,
                    std::size_t first_value);

    // Owner's thread. Starts sending; does nothing if it runs already.
    void start();
    // Owner's thread. Ends at once (within 20 ms) and forgets what is queued.
    void stop() noexcept;
    // Any thread. Ends by itself after the last queued frame.
    void finish() noexcept { finishing_.store(true, std::memory_order_release); }

    // Producer thread. Queues `value_count` floats; false if the queue is full.
    bool push(std::int64_t number, std::int64_t due_ns, const float* values) noexcept;

    // Any thread.
    bool running() const noexcept { return running_.load(std::memory_order_acquire); }
    bool realtime() const noexcept { return realtime_.load(std::memory_order_relaxed); }
    std::size_t queued() const noexcept { return headers_.available(); }
    std::size_t value_count() const noexcept { return current_.size(); }
    const OutputCounters& counters() const noexcept { return counters_; }
    const LatenessHistogram& lateness() const noexcept { return lateness_; }

   private:
    struct Header {
        std::int64_t number;
        std::int64_t due_ns;
    };
    struct Output {
        std::vector<PacketTemplate> packets;
        UdpSocket socket;
        std::size_t first_value;
    };

    // Output thread.
    void run() noexcept;
    bool next(Header& header) noexcept;
    void advance(const Header& header, bool queued) noexcept;
    void send(std::int64_t number, bool repeated) noexcept;

    const OutputTiming timing_;
    SpscRing<Header> headers_;
    SpscRing<float> values_;
    std::vector<float> current_;  // output thread: the numbers of the last frame taken
    std::vector<Output> outputs_;
    std::thread thread_;
    Header last_{-1, 0};   // output thread
    bool begun_ = false;   // output thread: whether `last_` holds a frame
    std::atomic<bool> stopping_{false};
    std::atomic<bool> finishing_{false};
    std::atomic<bool> running_{false};
    std::atomic<bool> realtime_{false};
    OutputCounters counters_;
    LatenessHistogram lateness_;
};

}  // namespace bailando
