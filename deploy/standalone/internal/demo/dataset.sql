-- A small shop: eight tables with every common column type. Rows come from MariaDB's sequence engine, so that half a million
-- of them are made in seconds. Statements end with a semicolon at the end of a line.
CREATE DATABASE shop CHARACTER SET utf8mb4;

CREATE TABLE shop.customers (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  email VARCHAR(120) NOT NULL,
  name VARCHAR(80) CHARACTER SET gbk,
  city VARCHAR(60) CHARACTER SET latin1,
  level ENUM('bronze','silver','gold') NOT NULL DEFAULT 'bronze',
  interests SET('books','music','sport','travel'),
  birthday DATE,
  balance DECIMAL(12,2) NOT NULL DEFAULT 0,
  active BOOLEAN NOT NULL DEFAULT TRUE,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  UNIQUE KEY by_email (email)
);

CREATE TABLE shop.products (
  sku CHAR(12) NOT NULL PRIMARY KEY,
  title VARCHAR(200) NOT NULL,
  details JSON,
  price DECIMAL(10,2) NOT NULL,
  price_with_tax DECIMAL(12,4) GENERATED ALWAYS AS (price * 1.19) STORED,
  weight FLOAT,
  rating DOUBLE,
  stock MEDIUMINT,
  picture MEDIUMBLOB,
  released YEAR
);

CREATE TABLE shop.orders (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  customer_id INT UNSIGNED NOT NULL,
  status ENUM('new','paid','shipped','returned') NOT NULL,
  total DECIMAL(14,2) NOT NULL,
  note TEXT,
  ordered_at DATETIME(6) NOT NULL,
  KEY by_customer (customer_id, ordered_at)
);

CREATE TABLE shop.order_items (
  order_id BIGINT UNSIGNED NOT NULL,
  line SMALLINT UNSIGNED NOT NULL,
  sku CHAR(12) NOT NULL,
  quantity TINYINT UNSIGNED NOT NULL,
  price DECIMAL(10,2) NOT NULL,
  PRIMARY KEY (order_id, line),
  KEY by_sku (sku)
);

CREATE TABLE shop.payments (
  id BINARY(16) NOT NULL PRIMARY KEY,
  order_id BIGINT UNSIGNED NOT NULL,
  amount DECIMAL(20,6) NOT NULL,
  fee DECIMAL(30,10),
  paid_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  receipt VARBINARY(64)
);

CREATE TABLE shop.visits (
  day DATE NOT NULL,
  hour TIME(3) NOT NULL,
  page VARCHAR(80) NOT NULL,
  flags BIT(12) NOT NULL,
  hits INT,
  PRIMARY KEY (day, hour, page)
);

CREATE TABLE shop.stores (
  code VARCHAR(20) NOT NULL PRIMARY KEY,
  place POINT,
  opens TIME,
  about LONGTEXT,
  logo BLOB,
  mask BIT(64),
  tiny TINYINT, small SMALLINT, big BIGINT
);

CREATE TABLE shop.events_without_key (
  happened DATETIME NOT NULL,
  kind VARCHAR(20) NOT NULL,
  payload TINYTEXT
);

INSERT INTO shop.customers (id, email, name, city, level, interests, birthday, balance, active, created_at)
SELECT seq, CONCAT('user', seq, '@example.com'), IF(seq MOD 3 = 0, '张伟', CONCAT('Name ', seq)), ELT(1 + seq MOD 4, 'Zürich', 'Köln', 'Málaga', NULL),
  1 + seq MOD 3, seq MOD 16, IF(seq MOD 50 = 0, NULL, DATE '1950-01-01' + INTERVAL seq MOD 20000 DAY), seq MOD 100000 / 7, seq MOD 2,
  TIMESTAMP '2020-01-01 00:00:00' + INTERVAL seq * 37 SECOND FROM shop.seq_1_to_100000;

INSERT INTO shop.products (sku, title, details, price, weight, rating, stock, picture, released)
SELECT CONCAT('SKU', LPAD(seq, 9, '0')), CONCAT('Product ', seq, ' 产品 ☕ "quoted" \\ back'), JSON_OBJECT('n', seq, 'tags', JSON_ARRAY('a', 'ü')),
  seq MOD 9999 / 10, seq / 3, 0 - seq / 7, CAST(seq AS SIGNED) - 8000, REPEAT(CHAR(seq MOD 256), seq MOD 300), 1970 + seq MOD 80 FROM shop.seq_1_to_20000;

INSERT INTO shop.orders (id, customer_id, status, total, note, ordered_at)
SELECT seq, 1 + seq * 7919 MOD 100000, 1 + seq MOD 4, seq MOD 1000000 / 100, IF(seq MOD 5 = 0, NULL, REPEAT('note ', seq MOD 20)),
  TIMESTAMP '2021-06-01 00:00:00.000001' + INTERVAL seq * 1000003 MICROSECOND FROM shop.seq_1_to_120000;

INSERT INTO shop.order_items (order_id, line, sku, quantity, price)
SELECT 1 + (seq - 1) DIV 2, seq MOD 2, CONCAT('SKU', LPAD(1 + seq MOD 20000, 9, '0')), 1 + seq MOD 200, seq MOD 5000 / 3 FROM shop.seq_1_to_200000;

INSERT INTO shop.payments (id, order_id, amount, fee, paid_at, receipt)
SELECT UNHEX(MD5(seq)), seq, seq / 7, IF(seq MOD 9 = 0, NULL, seq / 1000003), TIMESTAMP '2021-06-02 00:00:00.5' + INTERVAL seq SECOND, UNHEX(SHA2(seq, 256))
FROM shop.seq_1_to_80000;

INSERT INTO shop.visits (day, hour, page, flags, hits)
SELECT DATE '2022-01-01' + INTERVAL seq DIV 100 DAY, SEC_TO_TIME(seq MOD 100 * 863.999), CONCAT('/page/', seq MOD 10), seq MOD 4096, IF(seq MOD 11 = 0, NULL, seq)
FROM shop.seq_1_to_30000;

INSERT INTO shop.stores (code, place, opens, about, logo, mask, tiny, small, big)
SELECT CONCAT('ST-', seq), POINT(seq / 10, -(seq / 10)), SEC_TO_TIME(seq MOD 86400), REPEAT('长文本 ', seq MOD 50), UNHEX(SHA2(seq, 512)),
  seq * 1234567890123, -CAST(seq MOD 128 AS SIGNED), -CAST(seq MOD 32768 AS SIGNED), -CAST(seq * 9007199254740 AS SIGNED) FROM shop.seq_1_to_1000;

INSERT INTO shop.events_without_key (happened, kind, payload)
SELECT TIMESTAMP '2023-01-01 00:00:00' + INTERVAL seq SECOND, ELT(1 + seq MOD 3, 'login', 'logout', 'click'), IF(seq MOD 4 = 0, NULL, CONCAT('p', seq)) FROM shop.seq_1_to_5000;
