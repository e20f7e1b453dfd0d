#!/usr/bin/env escript
%%! +sbtu
%% Builds a signed Hex registry as a folder, with the reference library that rebar3 carries in its escript.
%%
%%   build_registry.escript REBAR3 OUT SET [TARBALLS]
%%
%% REBAR3    path of the rebar3 escript
%% OUT       folder to fill: names, versions, packages/NAME, tarballs/NAME-VERSION.tar, public_key
%% SET       which packages are written here: `hexpm`; `attacked`, the same with some under the names of `partner` and
%%           `acme`; `partner` and `acme`, packages of those repositories that need each other and some of hexpm
%% TARBALLS  folder of original package tarballs that join the packages written here
%%
%% One line a release goes to stdout: "NAME VERSION INNER OUTER", checksums in lower-case hex.

-mode(compile).
-include_lib("stdlib/include/zip.hrl").

main([Rebar3, Out, Set]) -> build(Rebar3, Out, Set, []);
main([Rebar3, Out, Set, Folder]) ->
    build(Rebar3, Out, Set, lists:sort(filelib:wildcard(filename:join(Folder, "*.tar"))));
main(_) -> io:format(standard_error, "usage: build_registry.escript REBAR3 OUT SET [TARBALLS]~n", []), halt(2).

build(Rebar3, Out, Set, Originals) ->
    ok = load_reference_library(Rebar3),
    {Private, PublicPem} = key_pair(),
    {Repository, Own} = own_packages(Set),
    Releases = [own_release(Repository, Package) || Package <- Own]
        ++ [original_release(Repository, File) || File <- Originals],
    Packages = maps:to_list(group(Releases)),
    write(Out, "public_key", PublicPem),
    [write(Out, ["tarballs/", Name, "-", Version, ".tar"], Tarball)
     || #{name := Name, version := Version, tarball := Tarball} <- Releases],
    [sealed(Out, ["packages/", Name], package_payload(Repository, Name, Rs), Private) || {Name, Rs} <- Packages],
    Names = #{repository => Repository, packages => [#{name => Name} || {Name, _} <- Packages]},
    sealed(Out, "names", r3_hex_registry:encode_names(Names), Private),
    Versions = #{repository => Repository, packages => [versions_of(Name, Rs) || {Name, Rs} <- Packages]},
    sealed(Out, "versions", r3_hex_registry:encode_versions(Versions), Private),
    [io:format("~s ~s ~s ~s~n", [Name, Version, hex(Inner), hex(Outer)])
     || #{name := Name, version := Version, inner := Inner, outer := Outer} <- Releases],
    ok.

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

key_pair() ->
    Private = public_key:generate_key({rsa, 2048, 65537}),
    Public = {'RSAPublicKey', element(3, Private), element(4, Private)},
    Pem = fun(Type, Key) -> public_key:pem_encode([public_key:pem_entry_encode(Type, Key)]) end,
    {Pem('RSAPrivateKey', Private), Pem('SubjectPublicKeyInfo', Public)}.

%% ---------------------------------------------------------------------------------------------------------------------
%% Packages written here: small rebar3 libraries that need each other, and what a registry can say about a release:
%% a retired one, a pre-release, build metadata, an optional dependency. Requirements are single comparisons: rebar3 3.19
%% refuses "and" and "or" in the requirements of a dependency.

own_packages("hexpm") -> {<<"hexpm">>, public_packages()};
own_packages("attacked") -> {<<"hexpm">>, public_packages() ++ [
     library(Name, <<"99.0.0">>, [], "taken_over() -> true.")
     || Name <- [<<"acme_core">>, <<"acme_later">>, <<"partner_feed">>]]};
own_packages("partner") -> {<<"partner">>, [
     library(<<"partner_feed">>, <<"3.1.0">>, [requires(<<"stopwatch">>, <<"~> 1.0">>)],
             "read() -> {stopwatch:elapsed(), []}.")]};
own_packages("acme") -> {<<"acme">>, [
     library(<<"acme_core">>, <<"1.0.0">>, [requires(<<"stopwatch">>, <<"~> 1.0">>)], "now() -> stopwatch:elapsed()."),
     library(<<"acme_ledger">>, <<"1.2.0">>,
             [requires(<<"acme_core">>, <<"~> 1.0">>), requires(<<"job_ledger">>, <<"~> 2.4">>),
              requires(<<"partner_feed">>, <<"~> 3.0">>)],
             "book(Text) -> {acme_core:now(), partner_feed:read(), job_ledger:book(Text)}.")]}.

public_packages() ->
    [
     library(<<"stopwatch">>, <<"1.0.0">>, [], "elapsed() -> erlang:monotonic_time(milli_seconds).",
             #{reason => 'RETIRED_INVALID', message => <<"elapsed/0 may fail, take 1.0.1"/utf8>>}),
     library(<<"stopwatch">>, <<"1.0.1">>, [], "elapsed() -> erlang:monotonic_time(millisecond)."),
     library(<<"stopwatch">>, <<"1.1.0">>, [], "elapsed() -> erlang:monotonic_time(microsecond) div 1000."),
     library(<<"stopwatch">>, <<"1.1.0+otp.25">>, [], "elapsed() -> erlang:monotonic_time(nanosecond) div 1000000."),
     library(<<"stopwatch">>, <<"2.0.0-rc.1">>, [], "elapsed() -> erlang:system_time(millisecond)."),
     library(<<"trace_sink">>, <<"0.1.0">>, [], "put(Line) -> io:format(\"~s~n\", [Line])."),
     library(<<"ini_reader">>, <<"0.3.0">>, [requires(<<"stopwatch">>, <<"~> 1.0">>)],
             "parse(Text) -> {stopwatch:elapsed(), string:lexemes(Text, \"\\n\")}."),
     library(<<"ini_reader">>, <<"0.3.1">>, [requires(<<"stopwatch">>, <<"~> 1.0">>)],
             "parse(Text) -> {stopwatch:elapsed(), string:lexemes(Text, [$\\n, \"\\r\\n\"])}."),
     library(<<"job_ledger">>, <<"2.4.0">>,
             [requires(<<"ini_reader">>, <<"~> 0.3.0">>), requires(<<"stopwatch">>, <<"~> 1.0">>),
              (requires(<<"trace_sink">>, <<"~> 0.1">>))#{<<"optional">> => true}],
             "book(Text) -> ini_reader:parse(Text).")
    ].

%% mix writes hexpm for whatever comes from the repository that it calls so.
requires(Name, Requirement) ->
    #{<<"name">> => Name, <<"app">> => Name, <<"requirement">> => Requirement, <<"optional">> => false,
      <<"repository">> => <<"hexpm">>}.

library(Name, Version, Requirements, Code) -> library(Name, Version, Requirements, Code, none).

library(Name, Version, Requirements, Code, Retired) ->
    Needed = [App || #{<<"app">> := App, <<"optional">> := false} <- Requirements],
    {Function, _} = lists:splitwith(fun(C) -> C =/= $( end, Code),
    Arity = case string:find(Code, "() ->") of nomatch -> "1"; _ -> "0" end,
    Source = io_lib:format("-module(~s).~n-export([~s/~s]).~n~s~n", [Name, Function, Arity, Code]),
    App = io_lib:format("~p.~n", [{application, binary_to_atom(Name), [
        {description, "A small library"}, {vsn, binary_to_list(Version)}, {registered, []},
        {applications, [kernel, stdlib | [binary_to_atom(N) || N <- Needed]]}, {modules, []}]}]),
    Files = [{"rebar.config", <<"{erl_opts, [debug_info]}.\n">>},
             {"src/" ++ binary_to_list(Name) ++ ".app.src", iolist_to_binary(App)},
             {"src/" ++ binary_to_list(Name) ++ ".erl", iolist_to_binary(Source)}],
    Metadata = #{<<"name">> => Name, <<"version">> => Version, <<"app">> => Name,
                 <<"description">> => <<"A small library">>, <<"licenses">> => [<<"Apache-2.0">>],
                 <<"build_tools">> => [<<"rebar3">>], <<"files">> => [list_to_binary(F) || {F, _} <- Files],
                 <<"requirements">> => maps:from_list([{N, maps:remove(<<"name">>, R)}
                                                       || #{<<"name">> := N} = R <- Requirements])},
    #{metadata => Metadata, files => Files, retired => Retired}.

own_release(Repository, #{metadata := Metadata, files := Files, retired := Retired}) ->
    {ok, #{tarball := Tarball, inner_checksum := Inner, outer_checksum := Outer}} = r3_hex_tarball:create(Metadata, Files),
    release(Repository, Metadata, Tarball, Inner, Outer, Retired).

original_release(Repository, File) ->
    {ok, Tarball} = file:read_file(File),
    {ok, #{metadata := Metadata, inner_checksum := Inner, outer_checksum := Outer}} =
        r3_hex_tarball:unpack(Tarball, memory),
    release(Repository, Metadata, Tarball, Inner, Outer, none).

release(Repository, #{<<"name">> := Name, <<"version">> := Version} = Metadata, Tarball, Inner, Outer, Retired) ->
    #{name => Name, version => Version, tarball => Tarball, inner => Inner, outer => Outer, retired => Retired,
      dependencies => [dependency(Repository, R) || R <- maps:to_list(maps:get(<<"requirements">>, Metadata, #{}))]}.

%% hex.pm leaves out what is the default: the application when it is named as the package, `optional` when it is false,
%% the repository when it is the same one; and it never signs an empty requirement.
dependency(Repository, {Name, Fields}) ->
    Requirement = case maps:get(<<"requirement">>, Fields, null) of
                      Text when is_binary(Text), Text =/= <<>> -> Text;
                      _ -> <<">= 0.0.0">>
                  end,
    App = case maps:get(<<"app">>, Fields, Name) of
              Name -> #{};
              Other -> #{app => Other}
          end,
    Optional = case maps:get(<<"optional">>, Fields, false) of
                   true -> #{optional => true};
                   _ -> #{}
               end,
    Lives = case maps:get(<<"repository">>, Fields, Repository) of
                Word when is_binary(Word), Word =/= Repository -> #{repository => Word};
                _ -> #{}
            end,
    lists:foldl(fun maps:merge/2, #{package => Name, requirement => Requirement}, [App, Optional, Lives]).

%% ---------------------------------------------------------------------------------------------------------------------
%% Payloads

group(Releases) ->
    lists:foldl(fun(#{name := Name} = R, Acc) ->
                        maps:update_with(Name, fun(Rs) -> Rs ++ [R] end, [R], Acc)
                end, #{}, Releases).

package_payload(Repository, Name, Releases) ->
    r3_hex_registry:encode_package(#{name => Name, repository => Repository,
                                     releases => [signed_release(R) || R <- Releases]}).

signed_release(#{version := Version, inner := Inner, outer := Outer, dependencies := Dependencies, retired := Retired}) ->
    Release = #{version => Version, inner_checksum => Inner, outer_checksum => Outer, dependencies => Dependencies},
    case Retired of
        none -> Release;
        Status -> Release#{retired => Status}
    end.

versions_of(Name, Releases) ->
    Numbered = lists:zip(lists:seq(0, length(Releases) - 1), Releases),
    #{name => Name, versions => [V || #{version := V} <- Releases],
      retired => [I || {I, #{retired := Retired}} <- Numbered, Retired =/= none]}.

sealed(Out, Path, Payload, Private) ->
    write(Out, Path, zlib:gzip(r3_hex_registry:sign_protobuf(Payload, Private))).

write(Out, Path, Bytes) ->
    File = filename:join(Out, unicode:characters_to_list(Path)),
    ok = filelib:ensure_dir(File),
    ok = file:write_file(File, Bytes).

hex(Bytes) -> [io_lib:format("~2.16.0b", [Byte]) || <<Byte>> <= Bytes].
