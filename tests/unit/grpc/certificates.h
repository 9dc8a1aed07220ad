// Certificates for tests, made on the spot.
//
//   Authority authority("test CA");
//   Identity server = authority.Issue("server", {"DNS:localhost", "IP:127.0.0.1"});
#ifndef ROOKERY_TESTS_UNIT_GRPC_CERTIFICATES_H_
#define ROOKERY_TESTS_UNIT_GRPC_CERTIFICATES_H_

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <vector>

namespace rookery::testing {

struct Identity {
  std::string certificate;
  std::string key;
};

// A certificate authority that signs itself.
class Authority final {
 public:
  explicit Authority(const std::string& name) : key_(NewKey()) {
    certificate_ = Make(name, *key_, nullptr, *key_, {}, 3'600);
  }

  // `valid_seconds` may be negative: expired.
  Identity Issue(const std::string& name, const std::vector<std::string>& names,
                 long valid_seconds = 3'600) {
    const Key key = NewKey();
    const Certificate certificate =
        Make(name, *key, certificate_.get(), *key_, names, valid_seconds);
    return {ToPem(*certificate), ToPem(*key)};
  }
  std::string pem() const { return ToPem(*certificate_); }

 private:
  struct Delete {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(X509* certificate) const { X509_free(certificate); }
    void operator()(BIO* bio) const { BIO_free(bio); }
  };
  using Key = std::unique_ptr<EVP_PKEY, Delete>;
  using Certificate = std::unique_ptr<X509, Delete>;

  static Key NewKey() { return Key(EVP_EC_gen("P-256")); }

  static Certificate Make(const std::string& name, EVP_PKEY& key, X509* issuer, EVP_PKEY& signer,
                          const std::vector<std::string>& names, long valid_seconds) {
    static long serial = 1;
    Certificate certificate(X509_new());
    X509* const x509 = certificate.get();
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), serial++);
    X509_gmtime_adj(X509_getm_notBefore(x509), -86'400);
    X509_gmtime_adj(X509_getm_notAfter(x509), valid_seconds);
    X509_set_pubkey(x509, &key);
    X509_NAME* const subject = X509_get_subject_name(x509);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_issuer_name(x509, issuer == nullptr ? subject : X509_get_subject_name(issuer));
    if (issuer == nullptr) AddExtension(x509, NID_basic_constraints, "critical,CA:TRUE");
    if (!names.empty()) {
      std::string text;
      for (const std::string& one : names) text += (text.empty() ? "" : ",") + one;
      AddExtension(x509, NID_subject_alt_name, text);
    }
    X509_sign(x509, &signer, EVP_sha256());
    return certificate;
  }
  static void AddExtension(X509* x509, int nid, const std::string& text) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, x509, x509, nullptr, nullptr, 0);
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, text.c_str());
    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
  }
  template <class Write>
  static std::string Pem(Write&& write) {
    const std::unique_ptr<BIO, Delete> bio(BIO_new(BIO_s_mem()));
    write(bio.get());
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    return std::string(data, static_cast<std::size_t>(size));
  }
  static std::string ToPem(X509& certificate) {
    return Pem([&](BIO* bio) { PEM_write_bio_X509(bio, &certificate); });
  }
  static std::string ToPem(EVP_PKEY& key) {
    return Pem([&](BIO* bio) {
      PEM_write_bio_PrivateKey(bio, &key, nullptr, nullptr, 0, nullptr, nullptr);
    });
  }

  Key key_;
  Certificate certificate_;
};

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_UNIT_GRPC_CERTIFICATES_H_
