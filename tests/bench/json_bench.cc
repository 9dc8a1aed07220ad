// JSON against protobuf's json_util, both ways, in MB of JSON text a second of CPU.
//
// Rows named "write" and "read" are ours against json_util's of the same message; the texts that
// are read are json_util's own, without whitespace.
#include <cstdio>
#include <cstdlib>
#include <string>

#include <google/protobuf/util/json_util.h>

#include "json_bench.pb.h"
#include "micro.h"
#include "rookery/rpc/json.h"

namespace rookery::bench {
namespace {

JsonSmall Small(int i) {
  JsonSmall small;
  small.set_id(1'000'000'007LL * (i + 1));
  small.set_name("a name of some length");
  small.set_active(i % 2 == 0);
  small.set_score(0.1 * (i + 1));
  small.set_count(i * 37 + 5);
  return small;
}

void Fill(JsonNested::Money* money, int i) {
  money->set_currency("EUR");
  money->set_units(i * 17 + 4);
  money->set_nanos(990'000'000);
}

void Fill(JsonNested::Address* address) {
  address->set_street("12 Rue de l'\xc3\x89glise");
  address->set_city("Clermont-Ferrand");
  address->set_postal_code("63000");
  address->set_country_code("FR");
}

JsonNested Nested() {
  JsonNested order;
  order.set_order_id("ord_01HF7YAT31JZHSMW1CG6Q6MHB7");
  order.set_state(JsonNested::PAID);
  order.mutable_customer()->set_customer_id(8'812'345'678'901);
  order.mutable_customer()->set_display_name("Ada Lovelace");
  order.mutable_customer()->set_email_address("ada@example.com");
  Fill(order.mutable_customer()->mutable_billing_address());
  Fill(order.mutable_customer()->mutable_shipping_address());
  for (int i = 0; i < 8; ++i) {
    JsonNested::Line& line = *order.add_lines();
    line.set_product_id("sku-" + std::to_string(4711 + i));
    line.set_title("A thing that is \"quoted\" and sold by the dozen");
    line.set_quantity(i + 1);
    Fill(line.mutable_unit_price(), i);
    line.set_discount(i * 0.05);
  }
  Fill(order.mutable_total(), 100);
  order.mutable_created_at()->set_seconds(1'780'000'000);
  order.mutable_updated_at()->set_seconds(1'780'000'123);
  order.mutable_updated_at()->set_nanos(456'000'000);
  order.set_signature(std::string(64, '\xa7'));
  order.set_gift(true);
  order.set_comment("Please ring twice.\nThe bell is hard to hear, the dog is not.");
  return order;
}

JsonRepeated Repeated() {
  JsonRepeated lists;
  for (int i = 0; i < 1000; ++i) {
    lists.add_numbers(i * 7919 % 100'003);
    lists.add_large_numbers(i * 1'000'000'007LL);
    lists.add_measures(i * 0.37);
    lists.add_labels("label number " + std::to_string(i));
  }
  return lists;
}

JsonMap Map() {
  JsonMap map;
  for (int i = 0; i < 200; ++i) {
    const std::string key = "some.key." + std::to_string(i);
    (*map.mutable_labels())[key] = "value " + std::to_string(i);
    (*map.mutable_counters())[key] = i * 31'337LL;
    (*map.mutable_by_id())[i] = Small(i);
  }
  return map;
}

void Check(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "%s failed\n", what);
  std::exit(1);
}

template <class M>
void Compare(Micro* micro, const std::string& name, const M& message) {
  std::string ours_text;
  std::string their_text;
  Check(AppendMessageAsJson(message, {}, &ours_text).ok(), "writing");
  Check(google::protobuf::util::MessageToJsonString(message, &their_text).ok(), "their writing");
  micro->CompareRate(
      name + ", write", "MB/s", static_cast<double>(ours_text.size()) / 1e6,
      [&message](int n) {
        std::string text;
        for (int i = 0; i < n; ++i) {
          text.clear();
          Check(AppendMessageAsJson(message, {}, &text).ok(), "writing");
          Keep(text);
        }
      },
      static_cast<double>(their_text.size()) / 1e6,
      [&message](int n) {
        std::string text;
        for (int i = 0; i < n; ++i) {
          text.clear();
          Check(google::protobuf::util::MessageToJsonString(message, &text).ok(), "their writing");
          Keep(text);
        }
      });
  const double megabytes = static_cast<double>(their_text.size()) / 1e6;
  micro->CompareRate(
      name + ", read", "MB/s", megabytes,
      [&their_text](int n) {
        M read;
        for (int i = 0; i < n; ++i) {
          Check(JsonToMessage(their_text, &read).ok(), "reading");
          Keep(read);
        }
      },
      megabytes,
      [&their_text](int n) {
        M read;
        for (int i = 0; i < n; ++i) {
          Check(google::protobuf::util::JsonStringToMessage(their_text, &read).ok(),
                "their reading");
          Keep(read);
          read.Clear();
        }
      });
}

int Run(int argc, char** argv) {
  Micro micro(argc, argv);
  Compare(&micro, "small", Small(3));
  Compare(&micro, "nested", Nested());
  Compare(&micro, "repeated", Repeated());
  Compare(&micro, "map-heavy", Map());
  return micro.Print();
}

}  // namespace
}  // namespace rookery::bench

int main(int argc, char** argv) { return rookery::bench::Run(argc, argv); }
