// A connected, non-blocking UDP socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#if defined(_WIN32)
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <winsock2.h>
#include <ws2tcpip.h>
#else
#include <arpa/inet.h>
#include <cerrno>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#endif

namespace bailando {

struct SendResult {
    bool sent;     // the system took the datagram
    bool refused;  // an earlier datagram found nobody listening
};

class UdpSocket {
   public:
    // Any thread. `address` is a numeric IPv4 or IPv6 address. Throws std::runtime_error.
    UdpSocket(const std::string& address, std::uint16_t port) {
        start_network();
        sockaddr_storage target{};
        const socklen_t size = parse(address, port, target);
        handle_ = ::socket(target.ss_family, SOCK_DGRAM, 0);
        if (handle_ == kNone) throw std::runtime_error("cannot open a UDP socket");
        const int on = 1;
        setsockopt(handle_, SOL_SOCKET, SO_BROADCAST, reinterpret_cast<const char*>(&on), sizeof on);
        if (!set_non_blocking() || ::connect(handle_, reinterpret_cast<sockaddr*>(&target), size) != 0) {
            close();
            throw std::runtime_error("no way to send to " + address + " port " + std::to_string(port));
        }
    }
    ~UdpSocket() { close(); }

    UdpSocket(UdpSocket&& other) noexcept : handle_(std::exchange(other.handle_, kNone)) {}
    UdpSocket& operator=(UdpSocket&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    UdpSocket(const UdpSocket&) = delete;
    UdpSocket& operator=(const UdpSocket&) = delete;

    // The sending thread. Never waits. A refusal answers an earlier datagram and keeps this one from
    // being sent, so it is offered once more.
    SendResult send(const std::uint8_t* data, std::size_t size) noexcept {
        if (send_once(data, size)) return {true, false};
        if (!refused()) return {false, false};
        return {send_once(data, size), true};
    }

   private:
#if defined(_WIN32)
    using Handle = SOCKET;
    static constexpr Handle kNone = INVALID_SOCKET;
    static void start_network() {
        static const bool started = [] {
            WSADATA data;
            return WSAStartup(MAKEWORD(2, 2), &data) == 0;
        }();
        if (!started) throw std::runtime_error("cannot start Windows sockets");
    }
    void close() noexcept {
        if (handle_ != kNone) closesocket(std::exchange(handle_, kNone));
    }
    bool set_non_blocking() noexcept {
        u_long on = 1;
        return ioctlsocket(handle_, FIONBIO, &on) == 0;
    }
    bool send_once(const std::uint8_t* data, std::size_t size) noexcept {
        return ::send(handle_, reinterpret_cast<const char*>(data), static_cast<int>(size), 0) ==
               static_cast<int>(size);
    }
    static bool refused() noexcept { return WSAGetLastError() == WSAECONNRESET; }
#else
    using Handle = int;
    static constexpr Handle kNone = -1;
    static void start_network() noexcept {}
    void close() noexcept {
        if (handle_ != kNone) ::close(std::exchange(handle_, kNone));
    }
    bool set_non_blocking() noexcept {
        const int flags = fcntl(handle_, F_GETFL, 0);
        return flags >= 0 && fcntl(handle_, F_SETFL, flags | O_NONBLOCK) == 0 &&
               fcntl(handle_, F_SETFD, FD_CLOEXEC) == 0;
    }
    bool send_once(const std::uint8_t* data, std::size_t size) noexcept {
        return ::send(handle_, data, size, 0) == static_cast<ssize_t>(size);
    }
    static bool refused() noexcept { return errno == ECONNREFUSED; }
#endif

    static socklen_t parse(const std::string& address, std::uint16_t port, sockaddr_storage& target) {
        auto* const v4 = reinterpret_cast<sockaddr_in*>(&target);
        if (inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
            v4->sin_family = AF_INET;
            v4->sin_port = htons(port);
            return sizeof(sockaddr_in);
        }
        auto* const v6 = reinterpret_cast<sockaddr_in6*>(&target);
        if (inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
            v6->sin6_family = AF_INET6;
            v6->sin6_port = htons(port);
            return sizeof(sockaddr_in6);
        }
        throw std::runtime_error("'" + address + "' is not a numeric network address");
    }

    Handle handle_ = kNone;
};

}  // namespace bailando
