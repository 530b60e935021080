defmodule SessionStore.Web do
  @moduledoc """
  The store by HTTP, with OTP's own server:

      POST /sessions    with the user in the body: 201, with the session's id
      GET /sessions/ID  200, with the user, or 404
      DELETE /sessions/ID  204

  While the store is being started again, what changes it is answered by 503, and what reads it as ever.
  """

  @doc "Starts the server, among the services of the application `:inets`."
  def start do
    directory = ~c"."

    :inets.start(:httpd,
      port: Application.get_env(:session_store, :port, 0),
      bind_address: {127, 0, 0, 1},
      socket_type: {:ip_comm, nodelay: true},
      server_name: ~c"localhost",
      server_root: directory,
      document_root: directory,
      modules: [__MODULE__]
    )
  end

  @doc "The port that it listens on."
  def port do
    {:httpd, _pid, info} = List.keyfind(:inets.services_info(), :httpd, 0)
    info[:port]
  end

  # What httpd asks for every request, with its record `mod`.
  def unquote(:do)(request) do
    {:mod, _, _, _, _, _, method, _, uri, _, _, _, body, _} = request
    {code, text} = answer(List.to_string(method), List.to_string(uri), to_string(body))
    head = [code: code, content_type: ~c"text/plain", content_length: ~c"#{byte_size(text)}"]
    {:proceed, [response: {:response, head, [text]}]}
  end

  defp answer("POST", "/sessions", user), do: change(fn -> {201, SessionStore.create(user)} end)

  defp answer("DELETE", "/sessions/" <> id, _body),
    do: change(fn -> SessionStore.delete(id) && {204, ""} end)

  defp answer("GET", "/sessions/" <> id, _body) do
    case SessionStore.user(id) do
      {:ok, user} -> {200, user}
      :error -> {404, "no such session"}
    end
  end

  defp answer(_method, _uri, _body), do: {404, "nothing here"}

  defp change(fun) do
    fun.()
  catch
    :exit, _reason -> {503, "try again"}
  end
end
