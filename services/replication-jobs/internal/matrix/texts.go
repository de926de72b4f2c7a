package matrix

import "strings"

// texts are types that hold characters.
var texts = []Type{
	{"CHAR(20)", text, []Value{{"''", `""`}, {"'  lead'", `"  lead"`}, {`'it''s \\ "q"\n\0'`, `"it's \\ \"q\"\n\u0000"`}, {"'汉字'", `"汉字"`}, {"NULL", "null"}}},
	{"CHAR(50) CHARACTER SET utf32", text, []Value{{"'中'", `"中"`}, {"'utf32 😀'", ""}, {"NULL", "null"}}},
	{"CHAR(10)", text, []Value{{"''", ""}, {"'  lead'", ""}, {"'trail  '", ""}, {`'it''s \\ "quoted" \n\0\Z'`, ""}, {"'汉字'", ""}, {"NULL", "null"}}},
	{"CHAR(10) CHARACTER SET latin1", text, []Value{{"_latin1 X'E9E8FF80'", ""}, {"NULL", "null"}}},
	{"VARCHAR(100)", text, []Value{{"'trail  '", `"trail  "`}, {"'😀'", `"😀"`}, {"NULL", "null"}, {"'😀 emoji'", ""}, {"''", ""}}},
	{"VARCHAR(50) CHARACTER SET latin1", text, []Value{{"_latin1 X'80FF'", `"€ÿ"`}, {"_latin1 X'81'", "\"\u0081\""}, {"_latin1 X'80FF27225C'", ""}, {"NULL", "null"}}},
	{"VARCHAR(50) CHARACTER SET gbk", text, []Value{{"'中文测试'", `"中文测试"`}, {"NULL", "null"}}},
	{"VARCHAR(50) CHARACTER SET utf16", text, []Value{{"'😀'", `"😀"`}, {"'utf16 😀'", ""}, {"NULL", "null"}}},
	{"VARCHAR(50) COLLATE utf8mb4_uca1400_ai_ci", text, []Value{{"'ß'", `"ß"`}, {"NULL", "null"}}},
	{"VARCHAR(50) COLLATE utf8mb4_0900_ai_ci", text, []Value{{"'ß '", `"ß "`}, {"'😀'", ""}, {"NULL", "null"}}},
	{"VARCHAR(300) CHARACTER SET gbk", text, []Value{{"'中文测试'", ""}, {`_gbk X'815C'`, ""}, {`_gbk X'D05C27'`, ""}, {"NULL", "null"}}},
	{"VARCHAR(50) CHARACTER SET ucs2", text, []Value{{"'ucs2 中'", ""}, {"NULL", "null"}}},
	{"VARCHAR(50) CHARACTER SET big5", text, []Value{{"_big5 X'A45CB35C'", ""}, {"NULL", "null"}}},
	{"VARCHAR(50) CHARACTER SET sjis", text, []Value{{"_sjis X'835C5C'", ""}, {"NULL", "null"}}},
	{"VARCHAR(20) COLLATE utf8mb4_nopad_bin", text, []Value{{"'a '", ""}, {"'a'", ""}, {"NULL", "null"}}},
	{"VARCHAR(50) CHARACTER SET utf8mb3", text, []Value{{"'äöü'", ""}, {"NULL", "null"}}},
	{"TEXT CHARACTER SET big5", text, []Value{{"_big5 X'A55CB35C'", `"功許"`}, {"NULL", "null"}}},
	{"TEXT CHARACTER SET gbk", text, []Value{{"'中文'", ""}, {"NULL", "null"}}},
	{"LONGTEXT", text, []Value{{"''", `""`}, {"NULL", "null"}}},
	{"JSON", text, []Value{
		{`'{"a": [1, null]}'`, `"{\"a\": [1, null]}"`},
		{`'{"a": 1.0, "b": [1, 2, null], "c": "\\u4e2d"}'`, ""},
		{"NULL", "null"},
		{`CAST('{"bb": 1, "a": -9223372036854775808, "c": 18446744073709551615, "d": 1e300, "e": 0.1}' AS JSON)`, ""},
		{`CAST('"\\u0001\\n\\"\\\\/é"' AS JSON)`, ""},
		{`CAST('null' AS JSON)`, ""},
		{`CAST('[]' AS JSON)`, ""},
		{`CAST('123' AS JSON)`, ""},
		{`CAST(CONCAT('{"long": "', REPEAT('x', 70000), '"}') AS JSON)`, ""},
		{`CAST(1e0 AS JSON)`, ""},
		{`CAST('{"<&>": "\\u2028 \\\\u003c", "": [{}, {"x": [1, 2]}, -1.5e-7, 1e16]}' AS JSON)`, ""},
	}},
	{"ENUM('a','b','it''s')", members("Enum", "a,b,it's"), []Value{{"'a'", `"a"`}, {"3", `"it's"`}, {"NULL", "null"}}},
	{"ENUM('蓝','红') CHARACTER SET gbk", members("Enum", "蓝,红"), []Value{{"2", `"红"`}, {"NULL", "null"}}},
	{"SET('x','y','z')", members("EnumSet", "x,y,z"), []Value{{"''", `""`}, {"'x,z'", `"x,z"`}, {"7", `"x,y,z"`}, {"NULL", "null"}}},
	{"SET(" + manyMembers + ")", members("EnumSet", strings.ReplaceAll(manyMembers, "'", "")), []Value{{"0x8000000000000001", ""}, {"NULL", "null"}}},
	{"TINYTEXT", text, []Value{{"'tiny'", ""}, {"NULL", "null"}}},
	{"MEDIUMTEXT", text, []Value{{"REPEAT('ä', 70000)", ""}, {"NULL", "null"}}},
}

// others are types that hold bytes, addresses and shapes.
var others = []Type{
	{"BINARY(4)", bytesField, []Value{{"''", `"AAAAAA=="`}, {"'a'", `"YQAAAA=="`}, {"X'01020304'", `"AQIDBA=="`}, {"NULL", "null"}}},
	{"BINARY(8)", bytesField, []Value{{"''", ""}, {"X'0000000000000000'", ""}, {"X'00FF000000000000'", ""}, {"'abc'", ""}, {"NULL", "null"}}},
	{"BINARY(255)", bytesField, []Value{{"X'FF'", ""}, {"NULL", "null"}}},
	{"VARBINARY(20)", bytesField, []Value{{"''", `""`}, {"X'0000'", `"AAA="`}, {"X'00'", ""}, {"X'275C00FF'", ""}, {"NULL", "null"}}},
	{"BLOB", bytesField, []Value{{"X'00FF'", `"AP8="`}, {"NULL", "null"}, {"REPEAT(X'FF00', 10000)", ""}}},
	{"UUID", bytesField, []Value{{"'123e4567-e89b-12d3-a456-426655440000'", `"Ej5FZ+ibEtOkVkJmVUQAAA=="`}, {"'00000000-0000-0000-0000-000000000000'", ""}, {"'ffffffff-ffff-4fff-bfff-ffffffffff00'", ""}, {"'01890000-0000-7000-8000-000000000000'", ""}, {"NULL", "null"}}},
	{"INET6", bytesField, []Value{{"'::1'", `"AAAAAAAAAAAAAAAAAAAAAQ=="`}, {"'2001:db8::ff00:42:8329'", ""}, {"'::'", ""}, {"NULL", "null"}}},
	{"INET4", bytesField, []Value{{"'192.0.2.0'", `"wAACAA=="`}, {"'0.0.0.0'", ""}, {"NULL", "null"}}},
	{"POINT", point, []Value{{"ST_GeomFromText('POINT(1 -2.5)')", `{"x":1,"y":-2.5,"wkb":"AQEAAAAAAAAAAADwPwAAAAAAAATA","srid":null}`}, {"NULL", "null"}}},
	{"GEOMETRY", geometry, []Value{{"ST_GeomFromText('POINT(2 2)', 4326)", `{"wkb":"AQEAAAAAAAAAAAAAQAAAAAAAAABA","srid":4326}`}, {"ST_GeomFromText('POLYGON((0 0,10 0,10 10,0 0))', 4326)", ""}, {"NULL", "null"}}},
	{"LINESTRING", geometry, []Value{{"ST_GeomFromText('LINESTRING(0 0,1 1)')", `{"wkb":"AQIAAAACAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAPA/AAAAAAAA8D8=","srid":null}`}, {"NULL", "null"}}},
	{"TINYBLOB", bytesField, []Value{{"X'00275C5C22'", ""}, {"NULL", "null"}}},
	{"MEDIUMBLOB", bytesField, []Value{{"REPEAT(X'27', 70000)", ""}, {"NULL", "null"}}},
	{"LONGBLOB", bytesField, []Value{{"''", ""}, {"NULL", "null"}}},
}

// manyMembers are as many as a SET can have.
var manyMembers = func() string {
	names := make([]string, 64)
	for i := range names {
		names[i] = "'m" + strings.Repeat("i", i) + "'"
	}
	return strings.Join(names, ",")
}()
