#!/usr/bin/env escript
%%! +sbtu
%% Erlang's side of the tests of terms, uploads and payloads.
%%
%%   terms.escript write REBAR3 FOLDER   writes N.etf and N.text of many terms, and packages as *.tar; one line a package
%%                                       goes to stdout: "FILE NAME VERSION INNER"
%%   terms.escript judge REBAR3 FOLDER   compares N.from_etf and N.from_text, written anew, with the terms, and decodes
%%                                       package.pb, names.pb and versions.pb

-mode(compile).
-include_lib("stdlib/include/zip.hrl").

main(["write", Rebar3, Folder]) ->
    ok = load_reference_library(Rebar3),
    [begin
         ok = file:write_file(name(Folder, N, "etf"), term_to_binary(Term)),
         ok = file:write_file(name(Folder, N, "text"), text(Term))
     end || {N, Term} <- numbered()],
    [package(Folder, Metadata, Files) || {Metadata, Files} <- packages()],
    ok;
main(["judge", Rebar3, Folder]) ->
    ok = load_reference_library(Rebar3),
    [begin
         {ok, Bytes} = file:read_file(name(Folder, N, Form)),
         case binary_to_term(Bytes, [safe]) of
             Term -> ok;
             Other -> io:format(standard_error, "~s of ~p is ~p~n", [Form, Term, Other]), halt(1)
         end
     end || {N, Term} <- numbered(), Form <- ["from_etf", "from_text"]],
    judge(Folder).

name(Folder, N, Form) -> filename:join(Folder, integer_to_list(N) ++ "." ++ Form).

text(Term) -> unicode:characters_to_binary(io_lib:format("~tp.~n", [Term])).

numbered() -> lists:zip(lists:seq(1, length(terms())), terms()).

terms() ->
    [true, nil, 'an atom', '\'', 'é', 0, 255, 256, -1, 2147483647, 2147483648, -2147483649, 9223372036854775807,
     -9223372036854775808, 9223372036854775808, -123456789012345678901234567890, 1.5, -0.0, 1.0e300, 5.0e-324, <<>>,
     <<"text">>, <<"é € 😀"/utf8>>, <<0, 255, 128>>, <<"quote \" and \\ and \n and #{x}">>, binary:copy(<<"wörter "/utf8>>, 99),
     [], "string", "é€", [1, 2, 300], lists:duplicate(70000, $a), [a, [b, [c]]], {}, {a}, {1, {2, {3}}},
     list_to_tuple(lists:seq(1, 300)), #{}, #{a => 1, <<"b">> => [#{c => {}}]}, maps:from_list([{I, I} || I <- lists:seq(1, 40)]),
     [{<<"name">>, <<"x">>}, {<<"links">>, [{<<"a">>, <<"https://example.com/">>}]}]].

packages() ->
    Plain = #{<<"name">> => <<"plain">>, <<"version">> => <<"1.0.0">>, <<"app">> => <<"plain">>,
              <<"files">> => [<<"mix.exs">>]},
    Long = lists:duplicate(40, "folder/") ++ "file_with_é.txt",
    [{Plain, [{"mix.exs", <<"x">>}]},
     {Plain#{<<"name">> := <<"rich">>, <<"version">> := <<"2.0.0-rc.1">>, <<"description">> => <<"Grüße €"/utf8>>,
             <<"licenses">> => [<<"MIT">>], <<"links">> => #{<<"Web">> => <<"https://example.com/a?b">>},
             <<"elixir">> => <<"~> 1.14">>, <<"extra">> => #{<<"list">> => [1, -2, 1.5, true, <<"x">>], <<"map">> => #{}},
             <<"requirements">> => #{<<"dep">> => #{<<"app">> => <<"dep">>, <<"optional">> => true,
                                                    <<"requirement">> => <<"~> 1.0 and < 1.9.0">>}}},
      [{"mix.exs", <<"x">>}]},
     {Plain#{<<"name">> := <<"long">>}, [{"mix.exs", <<"x">>}, {lists:flatten(Long), binary:copy(<<"y">>, 100000)}]}].

package(Folder, #{<<"name">> := Name, <<"version">> := Version} = Metadata, Files) ->
    {ok, #{tarball := Tarball, inner_checksum := Inner}} = r3_hex_tarball:create(Metadata, Files),
    File = binary_to_list(Name) ++ ".tar",
    ok = file:write_file(filename:join(Folder, File), Tarball),
    io:format("~s ~s ~s ~s~n", [File, Name, Version, [io_lib:format("~2.16.0b", [B]) || <<B>> <= Inner]]).

judge(Folder) ->
    Read = fun(File) -> {ok, Bytes} = file:read_file(filename:join(Folder, File)), Bytes end,
    At = #{seconds => 1700000000, nanos => 123000000},
    {ok, Package} = r3_hex_registry:decode_package(Read("package.pb"), <<"acme">>, <<"foo">>),
    {ok, Names} = r3_hex_registry:decode_names(Read("names.pb"), <<"acme">>),
    {ok, Versions} = r3_hex_registry:decode_versions(Read("versions.pb"), <<"acme">>),
    [#{version := <<"1.0.0">>, inner_checksum := Inner, outer_checksum := Outer,
       dependencies := [#{package := <<"log">>, requirement := <<"~> 1.0">>} = Log,
                        #{package := <<"bar">>, requirement := <<">= 0.1.0">>, optional := true, app := <<"other">>,
                          repository := <<"hexpm">>}],
       retired := #{reason := 'RETIRED_SECURITY', message := <<"é"/utf8>>}},
     #{version := <<"1.1.0">>, dependencies := []} = Second] = releases(Package),
    Inner = binary:copy(<<1>>, 32),
    Outer = binary:copy(<<2>>, 32),
    [] = [Key || Key <- [optional, app, repository], maps:is_key(Key, Log)],
    false = maps:is_key(retired, Second),
    [#{name := <<"foo">>} = Name] = packages_of(Names),
    At = maps:get(updated_at, Name, At),
    [#{name := <<"foo">>, versions := [<<"1.0.0">>, <<"1.1.0">>], retired := [0]}] = packages_of(Versions),
    io:format("agreed~n").

%% Older and newer libraries give the list, or a map that holds it.
releases(#{releases := Releases}) -> Releases;
releases(Releases) when is_list(Releases) -> Releases.

packages_of(#{packages := Packages}) -> Packages;
packages_of(Packages) when is_list(Packages) -> Packages.

%% The reference library is not on a path: it lives in the archive section of the escript.
load_reference_library(Rebar3) ->
    {ok, Sections} = escript:extract(Rebar3, []),
    Wanted = fun(#zip_file{name = Name}) -> string:prefix(filename:basename(Name), "r3_") =/= nomatch;
                (_) -> false end,
    {ok, Files} = zip:extract(proplists:get_value(archive, Sections), [memory, {file_filter, Wanted}]),
    [{module, _} = code:load_binary(list_to_atom(filename:basename(Name, ".beam")), Name, Beam)
     || {Name, Beam} <- Files, filename:extension(Name) =:= ".beam"],
    {module, r3_hex_registry} = code:ensure_loaded(r3_hex_registry),
    ok.
