// Producer and consumer of a small ring run against each other: every accepted sample arrives once, in
// order, whatever the block sizes and however often the ring wraps.
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "check.hpp"
#include "sample_ring.hpp"
#include "spsc_ring.hpp"

using bailando::SampleRing;
using bailando::SpscRing;

namespace {

constexpr std::size_t kBlocks[] = {1, 64, 65, 480, 8193};
constexpr std::size_t kBlockKinds = sizeof kBlocks / sizeof kBlocks[0];

void every_item_arrives_once_in_order(std::size_t capacity, std::uint64_t total) {
    SpscRing<std::uint64_t> ring(capacity);
    std::thread producer([&] {
        std::vector<std::uint64_t> block(8193);
        std::uint64_t sent = 0;
        for (std::size_t turn = 0; sent < total; ++turn) {
            const std::uint64_t left = total - sent;
            std::size_t count = kBlocks[turn % kBlockKinds];
            if (count > left) count = static_cast<std::size_t>(left);
            for (std::size_t i = 0; i < count; ++i) block[i] = sent + i;
            const std::size_t taken = ring.write(block.data(), count);
            if (taken == 0) std::this_thread::yield();
            sent += taken;
        }
    });
    std::vector<std::uint64_t> block(8193);
    std::uint64_t received = 0;
    for (std::size_t turn = 2; received < total; ++turn) {
        const std::size_t taken = ring.read(block.data(), kBlocks[turn % kBlockKinds]);
        if (taken == 0) std::this_thread::yield();
        for (std::size_t i = 0; i < taken; ++i) CHECK(block[i] == received + i);
        received += taken;
        CHECK(ring.available() <= capacity);
    }
    producer.join();
    CHECK(ring.available() == 0);
}

void capacity_is_exact(std::size_t capacity) {
    std::vector<float> samples(capacity + 1, 1.0F);
    for (std::size_t shift = 0; shift <= capacity; ++shift) {  // every place of the wrap
        SampleRing ring(capacity, 1);
        CHECK(ring.write(samples.data(), shift) == shift);
        CHECK(ring.read(samples.data(), shift) == shift);
        if (capacity > 1) {
            CHECK(ring.write(samples.data(), capacity - 1) == capacity - 1);
            CHECK(ring.read(samples.data(), capacity + 1) == capacity - 1);
        }
        CHECK(ring.write(samples.data(), capacity) == capacity);
        CHECK(ring.overruns() == 0);
        CHECK(ring.write(samples.data(), 1) == 0);
        CHECK(ring.overruns() == 1);
        CHECK(ring.read(samples.data(), capacity + 1) == capacity);
        CHECK(ring.write(samples.data(), capacity + 1) == capacity);
        CHECK(ring.overruns() == 2);
    }
}

void lost_frames_are_counted_while_both_threads_run(std::uint64_t offered_blocks) {
    constexpr std::size_t kChannels = 2;
    constexpr std::size_t kBlock = 65;
    SampleRing ring(480, kChannels);
    std::uint64_t received = 0;
    std::vector<float> in(kBlock * kChannels);
    std::vector<float> out(100 * kChannels);
    std::atomic<bool> done{false};
    std::thread producer([&] {
        for (std::uint64_t block = 0; block < offered_blocks; ++block) {
            for (std::size_t i = 0; i < kBlock; ++i) {
                in[2 * i] = static_cast<float>(i);
                in[2 * i + 1] = -static_cast<float>(i);
            }
            ring.write(in.data(), kBlock);
        }
        done.store(true, std::memory_order_release);
    });
    for (;;) {
        const bool last = done.load(std::memory_order_acquire);
        const std::size_t taken = ring.read(out.data(), 100);
        for (std::size_t i = 0; i < taken; ++i) CHECK(out[2 * i] == -out[2 * i + 1]);  // never torn
        received += taken;
        if (last && taken == 0) break;
    }
    producer.join();
    CHECK(received == ring.written());
    CHECK(received + ring.overruns() == offered_blocks * kBlock);
}

}  // namespace

int main() {
    for (const std::size_t capacity : {1U, 2U, 3U, 63U, 64U, 65U, 480U, 8192U, 8193U}) {
        every_item_arrives_once_in_order(capacity, 200 * capacity);  // at least 200 times around
    }
    for (const std::size_t capacity : {1U, 2U, 63U, 64U, 65U}) capacity_is_exact(capacity);
    lost_frames_are_counted_while_both_threads_run(2'000);
    return 0;
}
