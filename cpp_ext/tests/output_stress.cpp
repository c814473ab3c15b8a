// The output thread against a producer that is early, late and absent, with readers of the counters:
// frames arrive numbered without a gap or a return, and everything is accounted for.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "capture.hpp"
#include "check.hpp"
#include "clock.hpp"
#include "output_thread.hpp"
#include "playback.hpp"

using namespace bailando;

namespace {

constexpr std::int64_t kPeriodNs = 500'000;
constexpr OutputTiming kTiming{kPeriodNs, kPeriodNs, 10'000'000'000};

struct Receiver {
    Receiver() : handle(::socket(AF_INET, SOCK_DGRAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const int room = 1 << 20;
        setsockopt(handle, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
        CHECK(::bind(handle, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
        socklen_t size = sizeof address;
        CHECK(::getsockname(handle, reinterpret_cast<sockaddr*>(&address), &size) == 0);
        port = ntohs(address.sin_port);
    }
    ~Receiver() { ::close(handle); }

    // The frame number of the next datagram that is here already; -1 if there is none.
    std::int64_t next() const {
        std::uint32_t word = 0;
        if (::recv(handle, &word, sizeof word, MSG_DONTWAIT) != sizeof word) return -1;
        return static_cast<std::int64_t>(ntohl(word));
    }

    int handle;
    std::uint16_t port = 0;
};

PacketTemplate number_packet() {
    return PacketTemplate(std::vector<std::uint8_t>(8), {{0, FieldKind::kFrame, 0}, {4, FieldKind::kFloat, 0}}, 60.0);
}

void frames_leave_in_order_whatever_the_producer_does() {
    const Receiver receiver;
    OutputThread output(2, 16, kTiming);
    output.add_output({number_packet()}, "127.0.0.1", receiver.port, 1);
    std::atomic<bool> done{false};
    std::thread observer([&] {
        while (!done.load()) {
            CHECK(output.counters().late.load() <= output.counters().frames.load() + 1);
            CHECK(output.lateness().max_ns() >= 0);
            std::this_thread::yield();
        }
    });
    output.start();
    const std::int64_t origin_ns = now_ns() + 5 * kPeriodNs;
    std::uint64_t queued = 0;
    for (std::int64_t number = 0; number < 400; ++number) {
        if (number % 100 == 50) DeadlineSleeper().until(now_ns() + 20 * kPeriodNs);  // too late
        const float values[2] = {0.0F, static_cast<float>(number)};
        while (!output.push(number, origin_ns + number * kPeriodNs, values)) std::this_thread::yield();
        ++queued;
    }
    output.finish();
    while (output.running()) std::this_thread::yield();
    output.stop();
    done.store(true);
    observer.join();

    const OutputCounters& counters = output.counters();
    CHECK(counters.underruns.load() > 0);
    CHECK(counters.dropped.load() == 0);
    CHECK(counters.frames.load() == queued - counters.stale.load() + counters.underruns.load());
    std::int64_t expected = 0;
    for (std::int64_t number = receiver.next(); number >= 0; number = receiver.next()) {
        CHECK(number == expected);
        ++expected;
    }
    CHECK(static_cast<std::uint64_t>(expected) == counters.datagrams.load());
    CHECK(counters.last_frame.load() == expected - 1);
}

void starts_and_stops_again_and_again() {
    OutputThread output(1, 4, kTiming);
    for (int turn = 0; turn < 20; ++turn) {
        output.start();
        const float value = 0.0F;
        output.push(0, now_ns(), &value);
        output.stop();
        CHECK(!output.running());
        CHECK(output.queued() == 0);
    }
}

void capture_and_reader_share_a_ring() {
    SampleRing ring(1000, 2);
    Capture capture(ring, 8);
    constexpr std::uint64_t kBlocks = 2'000;
    std::thread audio([&] {
        std::vector<float> block(2 * 65, 0.5F);
        for (std::uint64_t i = 0; i < kBlocks; ++i) {
            const pa::TimeInfo time{static_cast<double>(i), 0.0, 0.0};
            const void* input = i % 7 == 0 ? nullptr : block.data();
            CHECK(Capture::callback(input, nullptr, 65, &time, i % 5 == 0 ? 2 : 0, &capture) == 0);
        }
    });
    std::vector<float> out(2 * 480);
    std::uint64_t received = 0;
    std::uint64_t stamps = 0;
    CaptureStamp stamp{};
    while (received + ring.overruns() < kBlocks * 65) {
        received += ring.read(out.data(), 480);
        for (; capture.next_stamp(stamp); ++stamps) CHECK(stamp.first_frame == 65 * static_cast<std::uint64_t>(stamp.adc_time_s));
    }
    audio.join();
    while (capture.next_stamp(stamp)) ++stamps;
    CHECK(capture.frames() == kBlocks * 65);
    CHECK(capture.input_overflows() == kBlocks / 5);
    CHECK(stamps + capture.lost_stamps() == kBlocks);
}

void playback_and_writer_share_a_ring() {
    SampleRing ring(4800, 1);
    Playback playback(ring, 48000.0, 2);
    constexpr std::uint64_t kBlocks = 2'000;
    playback.set_base_ns(now_ns());
    std::thread audio([&] {
        std::vector<float> block(2 * 65);
        for (std::uint64_t i = 0; i < kBlocks; ++i) {
            CHECK(Playback::callback(nullptr, block.data(), 65, nullptr, 0, &playback) == 0);
            for (const float sample : block) CHECK(sample >= -1.0F && sample <= 1.0F);
        }
    });
    const std::vector<float> out(480, 0.5F);
    while (playback.callbacks() < kBlocks) {
        ring.write(out.data(), 480);
        playback.set_base_ns(now_ns());
        std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    audio.join();
    CHECK(playback.callbacks() == kBlocks);
}

}  // namespace

int main() {
    frames_leave_in_order_whatever_the_producer_does();
    starts_and_stops_again_and_again();
    capture_and_reader_share_a_ring();
    playback_and_writer_share_a_ring();
    return 0;
}
