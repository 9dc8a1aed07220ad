#include "http/tls.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "rookery/platform/log.h"

namespace rookery::internal::gateway {
namespace {

Logger Log() { return Logger::Default().Named("http"); }

// TLS 1.2 with forward secrecy and authenticated encryption alone; those of 1.3 are all good.
constexpr char kCiphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

struct OpenSslDelete {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(BIO_METHOD* method) const { BIO_meth_free(method); }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};
template <class T>
using OpenSslPtr = std::unique_ptr<T, OpenSslDelete>;

struct Pem {
  std::string certificate;
  std::string key;
  std::string ca;
};

// PEM text, whichever way it was given; empty if it was not.
absl::Status Load(const std::string& text, const std::string& path, std::string* out) {
  if (path.empty()) {
    *out = text;
    return absl::OkStatus();
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("tls: cannot read ", path));
  out->assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  return absl::OkStatus();
}

absl::StatusOr<Pem> LoadAll(const HttpTls& tls) {
  Pem pem;
  absl::Status status = Load(tls.certificate, tls.certificate_file, &pem.certificate);
  status.Update(Load(tls.key, tls.key_file, &pem.key));
  status.Update(Load(tls.ca, tls.ca_file, &pem.ca));
  if (!status.ok()) return status;
  return pem;
}

OpenSslPtr<BIO> Memory(const std::string& text) {
  return OpenSslPtr<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// All certificates of a PEM text, in order.
std::vector<OpenSslPtr<X509>> ParseCertificates(const std::string& pem) {
  std::vector<OpenSslPtr<X509>> certificates;
  const OpenSslPtr<BIO> bio = Memory(pem);
  while (X509* const one = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    certificates.emplace_back(one);
  }
  ERR_clear_error();
  return certificates;
}

OpenSslPtr<EVP_PKEY> ParseKey(const std::string& pem) {
  const OpenSslPtr<BIO> bio = Memory(pem);
  // Without a callback OpenSSL would ask for a pass phrase on the terminal.
  OpenSslPtr<EVP_PKEY> key(PEM_read_bio_PrivateKey(
      bio.get(), nullptr, [](char*, int, int, void*) { return -1; }, nullptr));
  ERR_clear_error();
  return key;
}

std::vector<std::string> FaultsOf(const HttpTls& tls, const Pem& pem) {
  const auto named = [](const char* field, const std::string& path) {
    return path.empty() ? absl::StrCat("tls.", field) : absl::StrCat("tls.", field, "_file ", path);
  };
  std::vector<std::string> faults;
  if (pem.certificate.empty() || pem.key.empty()) {
    faults.emplace_back("tls: a server needs a certificate and a key: give both");
  }
  const std::vector<OpenSslPtr<X509>> chain = ParseCertificates(pem.certificate);
  const OpenSslPtr<EVP_PKEY> key = ParseKey(pem.key);
  if (!pem.certificate.empty() && chain.empty()) {
    faults.push_back(
        absl::StrCat(named("certificate", tls.certificate_file), " is not a PEM certificate"));
  }
  if (!pem.key.empty() && key == nullptr) {
    faults.push_back(absl::StrCat(named("key", tls.key_file),
                                  " is not a PEM private key without a pass phrase"));
  }
  if (!chain.empty() && key != nullptr &&
      X509_check_private_key(chain.front().get(), key.get()) != 1) {
    ERR_clear_error();
    faults.push_back(absl::StrCat(named("key", tls.key_file), " is not the key of ",
                                  named("certificate", tls.certificate_file)));
  }
  if (!pem.ca.empty() && ParseCertificates(pem.ca).empty()) {
    faults.push_back(absl::StrCat(named("ca", tls.ca_file), " is not a PEM certificate"));
  }
  if (tls.client_auth != HttpTls::ClientAuth::kNone && pem.ca.empty()) {
    faults.emplace_back("tls: client_auth needs ca or ca_file, to check the clients against");
  }
  return faults;
}

// Only HTTP/1.1 is spoken here; who offers others alone is told so.
int ChooseProtocol(SSL*, const unsigned char** out, unsigned char* out_size,
                   const unsigned char* in, unsigned in_size, void*) {
  constexpr std::string_view kOurs = "http/1.1";
  for (unsigned at = 0; at < in_size;) {
    const unsigned size = in[at++];
    if (size > in_size - at) break;
    if (std::string_view(reinterpret_cast<const char*>(in + at), size) == kOurs) {
      *out = in + at;
      *out_size = static_cast<unsigned char>(size);
      return SSL_TLSEXT_ERR_OK;
    }
    at += size;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

std::shared_ptr<SSL_CTX> MakeContext(const HttpTls& tls, const Pem& pem) {
  const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()),
                                         [](SSL_CTX* old) { SSL_CTX_free(old); });
  if (context == nullptr) return nullptr;
  SSL_CTX* const raw = context.get();
  const std::vector<OpenSslPtr<X509>> chain = ParseCertificates(pem.certificate);
  const OpenSslPtr<EVP_PKEY> key = ParseKey(pem.key);
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(raw, kCiphers);
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(raw, &ChooseProtocol, nullptr);
  if (chain.empty() || SSL_CTX_use_certificate(raw, chain.front().get()) != 1 ||
      SSL_CTX_use_PrivateKey(raw, key.get()) != 1) {
    ERR_clear_error();
    return nullptr;
  }
  for (std::size_t i = 1; i < chain.size(); ++i) SSL_CTX_add1_chain_cert(raw, chain[i].get());
  if (tls.client_auth != HttpTls::ClientAuth::kNone) {
    X509_STORE* const store = SSL_CTX_get_cert_store(raw);
    for (const OpenSslPtr<X509>& root : ParseCertificates(pem.ca)) {
      X509_STORE_add_cert(store, root.get());
      SSL_CTX_add_client_CA(raw, root.get());
    }
    SSL_CTX_set_verify(raw,
                       SSL_VERIFY_PEER | (tls.client_auth == HttpTls::ClientAuth::kRequire
                                              ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                                              : 0),
                       nullptr);
    // Every connection proves itself anew: a session of before says nothing of today's roots.
    SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(raw, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(raw, 0);
  }
  ERR_clear_error();
  return context;
}

// OpenSSL's own socket BIO writes without MSG_NOSIGNAL: a peer that is gone would end the process.
const BIO_METHOD* SocketMethod() {
  static const OpenSslPtr<BIO_METHOD> kMethod = [] {
    OpenSslPtr<BIO_METHOD> method(
        BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "rookery socket"));
    BIO_meth_set_read(method.get(), [](BIO* bio, char* data, int size) {
      BIO_clear_retry_flags(bio);
      const int fd = static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio)));
      const ssize_t got = ::recv(fd, data, static_cast<std::size_t>(size), 0);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
      return static_cast<int>(got);
    });
    BIO_meth_set_write(method.get(), [](BIO* bio, const char* data, int size) {
      BIO_clear_retry_flags(bio);
      const int fd = static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio)));
      const ssize_t sent = ::send(fd, data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
      if (sent < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
      return static_cast<int>(sent);
    });
    BIO_meth_set_ctrl(method.get(), [](BIO*, int command, long, void*) -> long {
      return command == BIO_CTRL_FLUSH ? 1 : 0;
    });
    return method;
  }();
  return kMethod.get();
}

std::string ToText(const ASN1_STRING* text) {
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                     static_cast<std::size_t>(ASN1_STRING_length(text)));
}

}  // namespace

std::vector<std::string> CheckHttpTls(const HttpTls& tls) {
  std::vector<std::string> faults;
  const auto both = [&faults](const char* field, const std::string& text, const std::string& path) {
    if (!text.empty() && !path.empty()) {
      faults.push_back(absl::StrCat("tls: give either ", field, " or ", field, "_file, not both"));
    }
  };
  both("certificate", tls.certificate, tls.certificate_file);
  both("key", tls.key, tls.key_file);
  both("ca", tls.ca, tls.ca_file);
  if (tls.reload_interval.count() < 1) {
    faults.emplace_back("tls.reload_interval must be at least one second");
  }
  const absl::StatusOr<Pem> pem = LoadAll(tls);
  if (!pem.ok()) {
    faults.emplace_back(pem.status().message());
    return faults;
  }
  for (std::string& fault : FaultsOf(tls, *pem)) faults.push_back(std::move(fault));
  return faults;
}

TlsContexts::FileVersion TlsContexts::VersionOf(const std::string& path) {
  struct stat info = {};
  if (path.empty() || ::stat(path.c_str(), &info) != 0) return {};
  return {info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_ino, info.st_size};
}

absl::Status TlsContexts::Load() {
  const std::vector<std::string> faults = CheckHttpTls(tls_);
  if (!faults.empty()) return absl::InvalidArgumentError(absl::StrJoin(faults, "\n"));
  if (Current() == nullptr) {
    return absl::InvalidArgumentError("tls: OpenSSL does not take the certificate and its key");
  }
  return absl::OkStatus();
}

std::shared_ptr<SSL_CTX> TlsContexts::Current() {
  const std::scoped_lock lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (context_ != nullptr && now < next_look_) return context_;
  next_look_ = now + tls_.reload_interval;
  std::vector<FileVersion> versions = {VersionOf(tls_.certificate_file), VersionOf(tls_.key_file),
                                       VersionOf(tls_.ca_file)};
  if (context_ != nullptr && versions == versions_) return context_;
  const absl::StatusOr<Pem> pem = LoadAll(tls_);
  const std::vector<std::string> faults =
      pem.ok() ? FaultsOf(tls_, *pem)
               : std::vector<std::string>{std::string(pem.status().message())};
  std::shared_ptr<SSL_CTX> made = faults.empty() ? MakeContext(tls_, *pem) : nullptr;
  if (made == nullptr) {
    // Half-written files are common while certificates are renewed: look again next time.
    Log().Warn("the new certificates cannot be used, the old ones stay",
               {{"why", faults.empty() ? "OpenSSL does not take them" : faults.front().c_str()}});
    return context_;
  }
  if (context_ != nullptr) Log().Info("certificates reloaded", {});
  context_ = std::move(made);
  versions_ = std::move(versions);
  return context_;
}

SslPtr TlsContexts::NewSession(int fd) {
  const std::shared_ptr<SSL_CTX> context = Current();
  SslPtr ssl(context == nullptr ? nullptr : SSL_new(context.get()));
  BIO* const bio = ssl == nullptr ? nullptr : BIO_new(SocketMethod());
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)));
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl.get(), bio, bio);
  SSL_set_accept_state(ssl.get());
  return ssl;
}

void ReadIdentity(SSL* ssl, Peer* peer) {
  const OpenSslPtr<X509> certificate(SSL_get1_peer_certificate(ssl));
  if (certificate == nullptr || SSL_get_verify_result(ssl) != X509_V_OK) return;
  peer->authenticated = true;
  std::string spiffe;
  std::string dns;
  const OpenSslPtr<GENERAL_NAMES> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
    std::string text;
    switch (name->type) {
      case GEN_DNS:
        text = ToText(name->d.dNSName);
        if (dns.empty()) dns = text;
        break;
      case GEN_URI:
        text = ToText(name->d.uniformResourceIdentifier);
        if (spiffe.empty() && text.starts_with("spiffe://")) spiffe = text;
        break;
      case GEN_EMAIL:
        text = ToText(name->d.rfc822Name);
        break;
      case GEN_IPADD: {
        const int size = ASN1_STRING_length(name->d.iPAddress);
        std::array<char, INET6_ADDRSTRLEN> address{};
        if ((size == 4 || size == 16) &&
            ::inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(name->d.iPAddress),
                        address.data(), address.size()) != nullptr) {
          text = address.data();
        }
        break;
      }
      default:
        break;
    }
    // A NUL within a name is how one is passed off for another.
    if (text.empty() || text.find('\0') != std::string::npos) continue;
    peer->names.push_back(std::move(text));
  }
  if (dns.find('\0') != std::string::npos) dns.clear();
  if (spiffe.find('\0') != std::string::npos) spiffe.clear();
  X509_NAME* const subject = X509_get_subject_name(certificate.get());
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at >= 0) {
    std::string text = ToText(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (text.find('\0') == std::string::npos) peer->subject = std::move(text);
  }
  peer->identity = !spiffe.empty() ? spiffe : !dns.empty() ? dns : peer->subject;
  const OpenSslPtr<BIO> pem(BIO_new(BIO_s_mem()));
  if (pem != nullptr && PEM_write_bio_X509(pem.get(), certificate.get()) == 1) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(pem.get(), &data);
    peer->certificate_pem.assign(data, static_cast<std::size_t>(size));
  }
  ERR_clear_error();
}

}  // namespace rookery::internal::gateway
