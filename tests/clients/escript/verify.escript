#!/usr/bin/env escript
%%! +sbtu
%% An independent judge: fetches a whole repository with the reference library that rebar3 carries, which verifies each
%% signature, the repository's name and each tarball's checksums, and prints what it decoded.
%%
%%   verify.escript REBAR3 URL PUBLIC_KEY_FILE [KEY]
%%
%% KEY  what the repository is read with, where it is private
%%
%% stdout, sorted: "names N", "versions N", then one line a release: "NAME VERSION INNER OUTER [retired]", and below it one
%% for each dependency: "> NAME REQUIREMENT [REPOSITORY]".

-mode(compile).
-include_lib("stdlib/include/zip.hrl").

main([Rebar3, Url, KeyFile]) -> verify(Rebar3, Url, KeyFile, undefined);
main([Rebar3, Url, KeyFile, Key]) -> verify(Rebar3, Url, KeyFile, list_to_binary(Key));
main(_) -> io:format(standard_error, "usage: verify.escript REBAR3 URL PUBLIC_KEY_FILE [KEY]~n", []), halt(2).

verify(Rebar3, Url, KeyFile, RepoKey) ->
    ok = load_reference_library(Rebar3),
    {ok, _} = application:ensure_all_started(inets),
    {ok, Key} = file:read_file(KeyFile),
    Config = (r3_hex_core:default_config())#{repo_url := list_to_binary(Url), repo_public_key := Key,
                                             repo_key := RepoKey, repo_verify := true, repo_verify_origin := true},
    {ok, {200, NamesHeaders, Names}} = r3_hex_repo:get_names(Config),
    {ok, {200, VersionsHeaders, Versions}} = r3_hex_repo:get_versions(Config),
    ok = headers("names", NamesHeaders),
    ok = headers("versions", VersionsHeaders),
    io:format("names ~b~nversions ~b~n", [length(Names), length(Versions)]),
    Listed = lists:sort([Name || #{name := Name} <- Names]),
    Listed = lists:sort([Name || #{name := Name} <- Versions]),
    [package(Config, Name, Versions) || Name <- Listed],
    ok.

package(Config, Name, Versions) ->
    {ok, {200, Headers, Releases}} = r3_hex_repo:get_package(Config, Name),
    ok = headers(Name, Headers),
    [#{versions := Numbers, retired := Retired}] = [P || #{name := N} = P <- Versions, N =:= Name],
    Numbers = [V || #{version := V} <- Releases],
    Retired = [I || {I, #{retired := _}} <- lists:zip(lists:seq(0, length(Releases) - 1), Releases)],
    [release(Config, Name, Release) || Release <- Releases].

release(Config, Name, #{version := Version, inner_checksum := Inner, outer_checksum := Outer} = Release) ->
    {ok, {200, Headers, Tarball}} = r3_hex_repo:get_tarball(Config, Name, Version),
    ok = headers([Name, "-", Version], Headers),
    {ok, #{inner_checksum := Inner, outer_checksum := Outer}} = r3_hex_tarball:unpack(Tarball, memory),
    %% What a client keeps as the entity tag must be good for a conditional request.
    #{<<"etag">> := Tag} = Headers,
    {ok, {304, _, _}} = r3_hex_repo:get_tarball(Config#{http_etag := Tag}, Name, Version),
    Mark = case Release of
               #{retired := #{reason := _}} -> " retired";
               _ -> ""
           end,
    io:format("~s ~s ~s ~s~s~n", [Name, Version, hex(Inner), hex(Outer), Mark]),
    [io:format("> ~s ~s ~s~n", [Dependency, Requirement, maps:get(repository, D, "")])
     || #{package := Dependency, requirement := Requirement} = D <- maps:get(dependencies, Release)],
    ok.

%% Every 200 carries a strong, quoted entity tag and its length, and no content coding.
headers(What, Headers) ->
    case Headers of
        #{<<"etag">> := <<$", Tag/binary>>, <<"content-length">> := _} when byte_size(Tag) > 1 ->
            case maps:is_key(<<"content-encoding">>, Headers) of
                false -> ok;
                true -> {unexpected_content_encoding, iolist_to_binary(What)}
            end;
        _ -> {missing_header, iolist_to_binary(What), Headers}
    end.

load_reference_library(Rebar3) ->
    {ok, Sections} = escript:extract(Rebar3, []),
    Wanted = fun(#zip_file{name = Name}) -> string:prefix(filename:basename(Name), "r3_") =/= nomatch;
                (_) -> false end,
    {ok, Files} = zip:extract(proplists:get_value(archive, Sections), [memory, {file_filter, Wanted}]),
    [{module, _} = code:load_binary(list_to_atom(filename:basename(Name, ".beam")), Name, Beam)
     || {Name, Beam} <- Files, filename:extension(Name) =:= ".beam"],
    {module, r3_hex_repo} = code:ensure_loaded(r3_hex_repo),
    ok.

hex(Bytes) -> [io_lib:format("~2.16.0b", [Byte]) || <<Byte>> <= Bytes].
