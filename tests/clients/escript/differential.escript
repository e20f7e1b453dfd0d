#!/usr/bin/env escript
%%! +sbtu
%% Erlang's side of the differential tests: what binary_to_term and the reference library make of many inputs.
%%
%%   differential.escript REBAR3 FOLDER   reads terms.in, mutants.in and tarballs.in, writes terms.out, texts.out,
%%                                        mutants.out and tarballs.out
%%
%% A file holds frames, each after its length in four bytes. A frame of an answer is 1 and a term, or 0 and a reason.

-mode(compile).
-include_lib("stdlib/include/zip.hrl").

main([Rebar3, Folder]) ->
    ok = load_reference_library(Rebar3),
    Terms = [binary_to_term(Frame) || Frame <- read(Folder, "terms.in")],
    write(Folder, "terms.out", [term_to_binary(Term) || Term <- Terms]),
    write(Folder, "texts.out", [unicode:characters_to_binary(io_lib:format("~tp.~n", [Term])) || Term <- Terms]),
    write(Folder, "mutants.out", [answer(fun() -> {ok, binary_to_term(Frame)} end) || Frame <- read(Folder, "mutants.in")]),
    write(Folder, "tarballs.out", [answer(fun() -> unpack(Frame) end) || Frame <- read(Folder, "tarballs.in")]).

unpack(Tarball) ->
    case r3_hex_tarball:unpack(Tarball, memory) of
        {ok, #{inner_checksum := Inner, outer_checksum := Outer, metadata := Metadata}} -> {ok, {Inner, Outer, Metadata}};
        {error, _} = Error -> Error
    end.

answer(Fun) ->
    try Fun() of
        {ok, Term} -> <<1, (term_to_binary(Term))/binary>>;
        {error, Reason} -> refused(Reason)
    catch
        _:Reason -> refused(Reason)
    end.

refused(Reason) -> <<0, (unicode:characters_to_binary(io_lib:format("~tP", [Reason, 20])))/binary>>.

read(Folder, File) ->
    {ok, Bytes} = file:read_file(filename:join(Folder, File)),
    frames(Bytes).

frames(<<>>) -> [];
frames(<<Length:32, Frame:Length/binary, Rest/binary>>) -> [Frame | frames(Rest)].

write(Folder, File, Frames) ->
    ok = file:write_file(filename:join(Folder, File), [[<<(byte_size(Frame)):32>>, Frame] || Frame <- Frames]).

%% The reference library is not on a path: it lives in the archive section of the escript.
load_reference_library(Rebar3) ->
    {ok, Sections} = escript:extract(Rebar3, []),
    Wanted = fun(#zip_file{name = Name}) -> string:prefix(filename:basename(Name), "r3_") =/= nomatch;
                (_) -> false end,
    {ok, Files} = zip:extract(proplists:get_value(archive, Sections), [memory, {file_filter, Wanted}]),
    [{module, _} = code:load_binary(list_to_atom(filename:basename(Name, ".beam")), Name, Beam)
     || {Name, Beam} <- Files, filename:extension(Name) =:= ".beam"],
    {module, r3_hex_tarball} = code:ensure_loaded(r3_hex_tarball),
    ok.
