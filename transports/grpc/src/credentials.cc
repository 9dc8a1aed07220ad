#include "credentials.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "library.h"

namespace rookery::grpc_adapter {
namespace {

struct OpenSslDelete {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
template <class T>
using OpenSslPtr = std::unique_ptr<T, OpenSslDelete>;

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

// PEM text, whichever way it was given; empty if it was not.
absl::StatusOr<std::string> Load(const std::string& text, const std::string& path) {
  if (path.empty()) return text;
  return ReadFile(path);
}

OpenSslPtr<X509> ParseCertificate(const std::string& pem) {
  const OpenSslPtr<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  OpenSslPtr<X509> certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  return certificate;
}

OpenSslPtr<EVP_PKEY> ParseKey(const std::string& pem) {
  const OpenSslPtr<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  // Without a callback OpenSSL would ask for a pass phrase on the terminal.
  OpenSslPtr<EVP_PKEY> key(PEM_read_bio_PrivateKey(
      bio.get(), nullptr, [](char*, int, int, void*) { return -1; }, nullptr));
  ERR_clear_error();
  return key;
}

struct Pem {
  std::string certificate;
  std::string key;
  std::string ca;
};

// What cannot work about a set of certificates, a line each.
std::vector<std::string> FaultsOf(const GrpcTls& tls, const Pem& pem, bool server) {
  const auto named = [](const char* field, const std::string& path) {
    return path.empty() ? absl::StrCat("tls.", field) : absl::StrCat("tls.", field, "_file ", path);
  };
  std::vector<std::string> faults;
  if (pem.certificate.empty() != pem.key.empty()) {
    faults.push_back("tls: certificate and key go together: give both");
  }
  if (server && pem.certificate.empty() && pem.key.empty()) {
    faults.push_back("tls: a server needs a certificate and a key");
  }
  OpenSslPtr<X509> certificate;
  OpenSslPtr<EVP_PKEY> key;
  if (!pem.certificate.empty()) {
    certificate = ParseCertificate(pem.certificate);
    if (certificate == nullptr) {
      faults.push_back(
          absl::StrCat(named("certificate", tls.certificate_file), " is not a PEM certificate"));
    }
  }
  if (!pem.key.empty()) {
    key = ParseKey(pem.key);
    if (key == nullptr) {
      faults.push_back(absl::StrCat(named("key", tls.key_file),
                                    " is not a PEM private key without a pass phrase"));
    }
  }
  if (certificate != nullptr && key != nullptr &&
      X509_check_private_key(certificate.get(), key.get()) != 1) {
    ERR_clear_error();
    faults.push_back(absl::StrCat(named("key", tls.key_file), " is not the key of ",
                                  named("certificate", tls.certificate_file)));
  }
  if (!pem.ca.empty() && ParseCertificate(pem.ca) == nullptr) {
    faults.push_back(absl::StrCat(named("ca", tls.ca_file), " is not a PEM certificate"));
  }
  if (server && tls.client_auth != GrpcTls::ClientAuth::kNone && pem.ca.empty()) {
    faults.push_back("tls: client_auth needs ca or ca_file, to check the clients against");
  }
  return faults;
}

absl::StatusOr<Pem> LoadAll(const GrpcTls& tls) {
  Pem pem;
  absl::StatusOr<std::string> text = Load(tls.certificate, tls.certificate_file);
  if (!text.ok()) return text.status();
  pem.certificate = *std::move(text);
  text = Load(tls.key, tls.key_file);
  if (!text.ok()) return text.status();
  pem.key = *std::move(text);
  text = Load(tls.ca, tls.ca_file);
  if (!text.ok()) return text.status();
  pem.ca = *std::move(text);
  return pem;
}

// Identifies a version of a file; zero for none.
struct FileVersion {
  std::int64_t seconds = 0;
  std::int64_t nanos = 0;
  std::uint64_t inode = 0;
  std::int64_t size = 0;
  bool operator==(const FileVersion&) const = default;
};

FileVersion VersionOf(const std::string& path) {
  struct stat info = {};
  if (path.empty() || ::stat(path.c_str(), &info) != 0) return {};
  return {info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_ino, info.st_size};
}

grpc_ssl_client_certificate_request_type ToRequestType(GrpcTls::ClientAuth auth) {
  switch (auth) {
    case GrpcTls::ClientAuth::kRequest:
      return GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY;
    case GrpcTls::ClientAuth::kRequire:
      return GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
    case GrpcTls::ClientAuth::kNone:
      break;
  }
  return GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE;
}

}  // namespace

std::vector<std::string> CheckTls(const GrpcTls& tls, bool server) {
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
    faults.push_back("tls.reload_interval must be at least one second");
  }
  const absl::StatusOr<Pem> pem = LoadAll(tls);
  if (!pem.ok()) {
    faults.push_back(absl::StrCat("tls: ", pem.status().message()));
    return faults;
  }
  for (std::string& fault : FaultsOf(tls, *pem, server)) faults.push_back(std::move(fault));
  return faults;
}

class ServerCertificates final {
 public:
  explicit ServerCertificates(GrpcTls tls) : tls_(std::move(tls)) {}

  // Called by gRPC for the first time when the server is made, and then for each handshake.
  grpc_ssl_certificate_config_reload_status Fetch(grpc_ssl_server_certificate_config** config) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    const bool first = !loaded_;
    if (!first && now < next_look_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    next_look_ = now + tls_.reload_interval;
    const Versions versions = {VersionOf(tls_.certificate_file), VersionOf(tls_.key_file),
                               VersionOf(tls_.ca_file)};
    if (!first && versions == versions_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const absl::StatusOr<Pem> pem = LoadAll(tls_);
    const std::vector<std::string> faults =
        pem.ok() ? FaultsOf(tls_, *pem, /*server=*/true)
                 : std::vector<std::string>{std::string(pem.status().message())};
    if (!faults.empty()) {
      // Half-written files are common while certificates are renewed: look again next time.
      Log(Severity::kWarning,
          absl::StrCat("the new certificates cannot be used, the old ones stay: ", faults.front()));
      return first ? GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL
                   : GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    }
    const grpc_ssl_pem_key_cert_pair pair = {pem->key.c_str(), pem->certificate.c_str()};
    // gRPC 1.51 insists on roots even where no client is asked for a certificate; any will do then.
    *config = grpc_ssl_server_certificate_config_create(
        pem->ca.empty() ? pem->certificate.c_str() : pem->ca.c_str(), &pair, 1);
    versions_ = versions;
    loaded_ = true;
    if (!first) Log(Severity::kInfo, "certificates reloaded");
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

 private:
  struct Versions {
    FileVersion certificate;
    FileVersion key;
    FileVersion ca;
    bool operator==(const Versions&) const = default;
  };

  const GrpcTls tls_;
  std::mutex mutex_;
  bool loaded_ = false;  // guarded by mutex_, as are those below
  Versions versions_;
  std::chrono::steady_clock::time_point next_look_;
};

void ServerCertificatesDelete::operator()(ServerCertificates* certificates) const {
  std::default_delete<ServerCertificates>()(certificates);
}

ServerCertificatesPtr MakeServerCertificates(const GrpcTls& tls) {
  return ServerCertificatesPtr(std::make_unique<ServerCertificates>(tls).release());
}

grpc_server_credentials* MakeServerCredentials(const GrpcTls& tls,
                                               ServerCertificates& certificates) {
  return grpc_ssl_server_credentials_create_with_options(
      grpc_ssl_server_credentials_create_options_using_config_fetcher(
          ToRequestType(tls.client_auth),
          [](void* self, grpc_ssl_server_certificate_config** config) {
            return static_cast<ServerCertificates*>(self)->Fetch(config);
          },
          &certificates));
}

grpc_channel_credentials* MakeChannelCredentials(const GrpcTls& tls) {
  const bool identity_in_files = !tls.certificate_file.empty() && !tls.key_file.empty();
  const bool any_text = !tls.certificate.empty() || !tls.key.empty() || !tls.ca.empty();
  if (!any_text && (identity_in_files || !tls.ca_file.empty())) {
    // Everything is in files: gRPC watches them itself.
    grpc_tls_certificate_provider* const provider =
        grpc_tls_certificate_provider_file_watcher_create(
            identity_in_files ? tls.key_file.c_str() : nullptr,
            identity_in_files ? tls.certificate_file.c_str() : nullptr,
            tls.ca_file.empty() ? nullptr : tls.ca_file.c_str(),
            static_cast<unsigned>(tls.reload_interval.count()));
    grpc_tls_credentials_options* const options = grpc_tls_credentials_options_create();
    grpc_tls_credentials_options_set_certificate_provider(options, provider);
    if (!tls.ca_file.empty()) grpc_tls_credentials_options_watch_root_certs(options);
    if (identity_in_files) grpc_tls_credentials_options_watch_identity_key_cert_pairs(options);
    grpc_channel_credentials* const credentials = grpc_tls_credentials_create(options);
    grpc_tls_certificate_provider_release(provider);
    return credentials;
  }
  const absl::StatusOr<Pem> pem = LoadAll(tls);
  if (!pem.ok()) return nullptr;
  grpc_ssl_pem_key_cert_pair pair = {pem->key.c_str(), pem->certificate.c_str()};
  return grpc_ssl_credentials_create_ex(pem->ca.empty() ? nullptr : pem->ca.c_str(),
                                        pem->key.empty() ? nullptr : &pair, nullptr, nullptr);
}

void ReadIdentity(grpc_call* call, Peer* peer) {
  grpc_auth_context* const context = grpc_call_auth_context(call);
  if (context == nullptr) return;
  peer->authenticated = grpc_auth_context_peer_is_authenticated(context) != 0;
  const auto each = [context](const char* name, auto&& take) {
    grpc_auth_property_iterator it = grpc_auth_context_find_properties_by_name(context, name);
    while (const grpc_auth_property* property = grpc_auth_property_iterator_next(&it)) {
      take(std::string(property->value, property->value_length));
    }
  };
  std::string spiffe;
  std::string dns;
  each(GRPC_PEER_SPIFFE_ID_PROPERTY_NAME, [&](std::string id) { spiffe = std::move(id); });
  each(GRPC_PEER_DNS_PROPERTY_NAME, [&](std::string name) {
    if (dns.empty()) dns = std::move(name);
  });
  each(GRPC_X509_CN_PROPERTY_NAME, [&](std::string name) { peer->subject = std::move(name); });
  each(GRPC_X509_SAN_PROPERTY_NAME,
       [&](std::string name) { peer->names.push_back(std::move(name)); });
  each(GRPC_X509_PEM_CERT_PROPERTY_NAME,
       [&](std::string pem) { peer->certificate_pem = std::move(pem); });
  peer->identity = !spiffe.empty() ? spiffe : !dns.empty() ? dns : peer->subject;
  grpc_auth_context_release(context);
}

}  // namespace rookery::grpc_adapter
